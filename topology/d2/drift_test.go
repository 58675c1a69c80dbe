package d2

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/diag"
)

// system builds a topology of named services; calls become handlers' steps.
type system struct{ topology.Topology }

func (s *system) node(name string, kind topology.Kind) *topology.Node {
	if n := s.Node(name); n != nil {
		return n
	}
	at := diag.Position{File: "t.yaml", Line: 1 + len(s.Nodes), Column: 3}
	n := &topology.Node{Name: name, Kind: kind, At: at}
	s.Nodes = append(s.Nodes, n)
	return n
}

func (s *system) services(names ...string) *system {
	for _, name := range names {
		s.node(name, topology.Service)
	}
	return s
}

func (s *system) call(from, to string) *system {
	s.services(from, to)
	return s.step(from, &topology.Step{Kind: topology.Call, Target: to, Method: "GET", Path: "/"})
}

func (s *system) publish(from, channel string) *system {
	s.node(topology.ChannelNode(channel), topology.Broker)
	return s.step(from, &topology.Step{Kind: topology.Publish, Target: channel})
}

func (s *system) subscribe(name, channel string) *system {
	n := s.node(name, topology.Service)
	n.Handlers = append(n.Handlers, &topology.Handler{Name: channel, Subscribe: channel})
	return s
}

func (s *system) login(fleet, auth, to string) *system {
	n := s.node(fleet, topology.Fleet)
	n.Login = s.node(auth, topology.Service).Name
	s.services(to)
	n.Sends = append(n.Sends, &topology.Send{Flow: "f", To: to + " POST /f"})
	return s
}

func (s *system) step(from string, step *topology.Step) *system {
	n := s.node(from, topology.Service)
	n.Handlers = append(n.Handlers, &topology.Handler{Name: step.Target, Do: []*topology.Step{step}})
	return s
}

func (s *system) excuse(name string) *system {
	s.node(name, topology.Service).Undrawn = "a reason"
	return s
}

// found is a report in few words.
type found struct {
	Carried map[string][]string // link to its carriers
	Undrawn []string
	Excused []string
	Diags   []string
}

func digest(r Report) found {
	f := found{Carried: map[string][]string{}}
	for _, l := range r.Links {
		f.Carried[l.Link.String()] = nil
		for _, c := range l.By {
			f.Carried[l.Link.String()] = append(f.Carried[l.Link.String()], c.String())
		}
	}
	for _, w := range r.Undrawn {
		f.Undrawn = append(f.Undrawn, w.String())
	}
	for _, w := range r.Excused {
		f.Excused = append(f.Excused, w.String())
	}
	for _, d := range r.Diags.Sorted() {
		f.Diags = append(f.Diags, d.String())
	}
	return f
}

func TestDrift(t *testing.T) {
	cases := []struct {
		name, drawing string
		system        *system
		want          found
	}{
		{"drift/wire/carried", "a -> b", new(system).services("b").call("a", "b"),
			found{Carried: map[string][]string{"a -> b": {"wire a -> b"}}}},
		{"drift/calls back/carried", "a -> b", new(system).services("a").call("b", "a"),
			found{Carried: map[string][]string{"a -> b": {"wire b -> a"}}}},
		{"drift/nothing/uncarried", "a -> b\nb -> c", new(system).services("b", "c").call("a", "b"),
			found{Carried: map[string][]string{"a -> b": {"wire a -> b"}, "b -> c": nil},
				Diags: []string{"f.d2:2:1: drawn link b -> c is carried by no wire and no channel; let a " +
					"flow or a step use it, or take it out of the drawing [drift]"}}},
		{"drift/container/one member is enough", "a -> c; c.x; c.y",
			new(system).services("c.x", "c.y").call("a", "c.x"),
			found{Carried: map[string][]string{"a -> c": {"wire a -> c.x"}}}},
		{"drift/container and its member/another member", "c -> c.x; c.y",
			new(system).services("c.x").call("c.y", "c.x"),
			found{Carried: map[string][]string{"c -> c.x": {"wire c.y -> c.x"}}}},
		{"drift/similar names/not members", "a -> c; cc", new(system).services("c").call("a", "cc"),
			found{Carried: map[string][]string{"a -> c": nil}, Undrawn: []string{"a -> cc"}, Diags: []string{
				"f.d2:1:1: drawn link a -> c is carried by no wire and no channel; let a flow or a step use " +
					"it, or take it out of the drawing [drift]",
				"t.yaml:2:3: wire a -> cc is not drawn in f.d2; draw a link, or say why not with undrawn: " +
					`"reason" at one of its ends [drift]`}}},
		{"drift/channel/carried with its broker's wires", "a -> b; q.broker",
			new(system).publish("a", "q.broker/c").subscribe("b", "q.broker/c"),
			found{Carried: map[string][]string{"a -> b": {"channel q.broker/c over wire b -> q.broker"}}}},
		{"drift/broker between/carried", "a -> q -> b",
			new(system).publish("a", "q/c").subscribe("b", "q/c"),
			found{Carried: map[string][]string{"a -> q": {"wire a -> q"}, "q -> b": {"wire b -> q"}}}},
		{"drift/refined box/counts for its box", "a -> m -> b",
			new(system).publish("a", "m.in/c").subscribe("m.rule", "m.in/c").publish("m.rule", "m.out/d").
				subscribe("b", "m.out/d"),
			found{Carried: map[string][]string{
				"a -> m": {"wire a -> m.in", "channel m.in/c over wire m.rule -> m.in"},
				"m -> b": {"wire b -> m.out", "channel m.out/d over wire b -> m.out"}}}},
		{"drift/login/carried by the way on", "f -- auth -- gate", new(system).login("f", "auth", "gate"),
			found{Carried: map[string][]string{"f -- auth": {"wire f -> auth"},
				"auth -- gate": {"wire f -> gate after a login at auth"}}}},
		{"drift/login not drawn/way on not drawn", "auth -- gate; f",
			new(system).login("f", "auth", "gate"),
			found{Carried: map[string][]string{"auth -- gate": {"wire f -> gate after a login at auth"}},
				Undrawn: []string{"f -> auth", "f -> gate"}, Diags: []string{
					"t.yaml:1:3: wire f -> auth is not drawn in f.d2; draw a link, or say why not with undrawn: " +
						`"reason" at one of its ends [drift]`,
					"t.yaml:1:3: wire f -> gate is not drawn in f.d2; draw a link, or say why not with undrawn: " +
						`"reason" at one of its ends [drift]`}}},
		{"drift/undrawn node/mistake once", "a; c.x", new(system).services("c.x").call("a", "c.y"),
			found{Carried: map[string][]string{}, Undrawn: []string{"a -> c.y"}, Diags: []string{
				`t.yaml:3:3: node "c.y" is not drawn in f.d2; draw it, or say why not with undrawn: ` +
					`"reason" [drift]`}}},
		{"drift/undrawn with a reason/excused", "a", new(system).call("a", "cache").excuse("cache"),
			found{Carried: map[string][]string{}, Excused: []string{"a -> cache"}}},
		{"drift/box without a node/mistake", "a; b", new(system).services("a"),
			found{Carried: map[string][]string{}, Diags: []string{
				`f.d2:1:4: drawn box "b" has no node in the topology; add it under nodes, or take it out of ` +
					"the drawing [drift]"}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := digest(Drift(&c.system.Topology, drawn(t, c.drawing)))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("drift (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDriftIotPlatform holds the reference system against its drawing.
func TestDriftIotPlatform(t *testing.T) {
	var d *Drawing
	top, diags, err := topology.Load("../examples/iot-platform.yaml",
		topology.Options{Draw: Draw(Options{}, &d)})
	if err != nil || !diags.Empty() {
		t.Fatalf("load: %v\n%s", err, diags.String())
	}
	report := Drift(top, d)
	want := fmt.Sprintf("17 of 17 drawn links carried by %d wires", len(top.Wires()))
	if report.String() != want || !report.Diags.Empty() || len(report.Undrawn) > 0 {
		t.Errorf("%s\n%s%v", report, report.Diags.String(), report.Undrawn)
	}
}
