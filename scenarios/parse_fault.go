package scenarios

import (
	"slices"
	"strings"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/wire"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

func (p *parser) fault(v yamlpos.Value, a *Act) {
	word := v.Get("fault").OneOf(KindNames()...)
	kind, ok := KindOf(word)
	if !ok {
		return
	}
	f := &Fault{Kind: word, Replica: -1, Share: 1}
	a.Fault = f
	fields := map[string]func(yamlpos.Value){
		"name": ignore, "at": ignore, "fault": ignore,
		"for":  func(v yamlpos.Value) { f.For = p.some(v) },
		"when": func(v yamlpos.Value) { a.When = p.state(v) },
	}
	if kind.On(OnWire) {
		fields["wire"] = func(v yamlpos.Value) { p.wires(v, f) }
	}
	if kind.onNode() {
		fields["node"] = func(v yamlpos.Value) { p.faultNodes(v, kind, f) }
	}
	for name, read := range p.faultFields(f) {
		if kind.Takes(name) {
			fields[name] = read
		}
	}
	v.Fields(fields)
	for _, need := range kind.Needs {
		if !v.Get(need).Present() {
			v.Errorf("missing-key", "fault %q needs %s: %s", word, need, faultWords[need])
		}
	}
	p.faultTarget(v, kind)
	p.replicaExists(v.Get("replica"), f)
	p.wholeEngine(v, f)
	if !kind.Instant && !v.Get("for").Present() {
		v.Errorf("missing-key", "fault %q needs for: how long until it heals, such as 10s", word)
	}
	if a.When != nil && f.For == 0 {
		v.Get("when").Errorf("missing-key", "a fault that waits needs for: it waits so long at most")
	}
	if kind.Takes("direction") && f.Direction == "" {
		f.Direction = wire.Both
	}
	if word == "disk_full" && f.Size == 0 {
		f.Size = DefaultDisk
	}
}

// state reads {in_hand: worker, at_least: 1}.
func (p *parser) state(v yamlpos.Value) *State {
	s := &State{Replica: -1, AtLeast: 1}
	v.Fields(map[string]func(yamlpos.Value){
		"in_hand": func(v yamlpos.Value) {
			found, err := p.s.AsBuilt.Select(v.Text())
			switch {
			case err != nil:
				notMeant(v, err)
			case len(found) != 1 || targetOf(found[0].Node) != OnSim || found[0].Node.Own != nil:
				v.Errorf("wrong-target", "%q is not one cloud or service that is simulated: of others "+
					"nobody knows what they have in hand", v.Text())
			default:
				s.InHand, s.Replica = found[0].Node.Name, found[0].Replica
			}
		},
		"at_least": func(v yamlpos.Value) { s.AtLeast = v.Int(1, 1_000_000) },
	})
	if v.IsMap() && !v.Get("in_hand").Present() {
		v.Errorf("missing-key", "a state needs in_hand: whose work it is about")
	}
	return s
}

// faultTarget checks that a fault says where it happens, in one way.
func (p *parser) faultTarget(v yamlpos.Value, kind Kind) {
	var accepted, given []string
	for _, place := range kind.places() {
		accepted = append(accepted, place)
		if v.Get(place).Present() {
			given = append(given, place)
		}
	}
	switch {
	case len(accepted) > 0 && len(given) == 0:
		v.Errorf("missing-key", "fault %q needs %s: where it happens", kind.Name,
			strings.Join(accepted, " or "))
	case len(given) > 1:
		v.Errorf("conflict", "fault %q happens on %s; make an act of each", kind.Name,
			strings.Join(given, " and "))
	}
}

// faultFields are the numbers a fault may be told, each read into its field.
func (p *parser) faultFields(f *Fault) map[string]func(yamlpos.Value) {
	return map[string]func(yamlpos.Value){
		"direction": func(v yamlpos.Value) {
			f.Direction = wire.Direction(v.OneOf(string(wire.Requests), string(wire.Replies),
				string(wire.Both)))
		},
		"replica": func(v yamlpos.Value) { f.Replica = v.Int(0, 10_000) },
		"latency": func(v yamlpos.Value) { f.Latency = p.some(v) },
		"bytes":   func(v yamlpos.Value) { f.Bytes = byteCount(v) },
		"size":    func(v yamlpos.Value) { f.Size = byteCount(v) },
		"cores":   func(v yamlpos.Value) { f.Cores = v.Float(0.01, 1000) },
		"share":   func(v yamlpos.Value) { f.Share = share(v) },
		"status":  func(v yamlpos.Value) { f.Status = v.Int(400, 599) },
		"flow":    func(v yamlpos.Value) { f.Flow = p.flow(v) },
		"every":   func(v yamlpos.Value) { f.Every = v.Bool() },
		"login":   func(v yamlpos.Value) { f.Login = v.Bool() },
		"factor":  func(v yamlpos.Value) { f.Factor = v.Float(0.001, 10_000) },
		"rate": func(v yamlpos.Value) {
			if f.Kind == "bandwidth" {
				f.Rate = bytesPerSecond(v)
				return
			}
			f.Rate = v.Rate()
		},
	}
}

// wires reads "worker1 -> stream", "worker1[0] -> stream" or one with stars.
func (p *parser) wires(v yamlpos.Value, f *Fault) {
	from, to, ok := strings.Cut(v.Text(), "->")
	if !ok {
		v.Errorf("wrong-type",
			"%q is not a wire, write it as FROM -> TO in the direction of the dial", v.Text())
		return
	}
	froms, errFrom := p.s.AsBuilt.Select(from)
	tos, errTo := p.s.AsBuilt.Select(to)
	for _, err := range []error{errFrom, errTo} {
		if err != nil {
			notMeant(v, err)
		}
	}
	if errFrom != nil || errTo != nil {
		return
	}
	all := p.s.AsBuilt.Wires()
	for _, a := range froms {
		for _, b := range tos {
			w := topology.Wire{From: a.Node.Name, To: b.Node.Name}
			if slices.Contains(all, w) {
				f.Wires = append(f.Wires, w)
			}
			if a.Replica >= 0 {
				f.Replica = a.Replica
			}
			if b.Replica >= 0 {
				v.Errorf("wrong-target",
					"a wire has replicas of the node that dials, %q names one of %s",
					v.Text(), b.Node.Name)
				return
			}
		}
	}
	if len(f.Wires) == 0 {
		p.noWire(v, all)
	}
}

// replicaExists checks the replica that a field of its own names.
func (p *parser) replicaExists(v yamlpos.Value, f *Fault) {
	nodes := slices.Clone(f.Nodes)
	for _, w := range f.Wires {
		nodes = append(nodes, w.From)
	}
	for _, name := range nodes {
		if members := p.s.AsBuilt.Node(name).Members(); v.Present() && f.Replica >= members {
			v.Errorf("out-of-range", "replica %d is not there, %s has %d, counted from 0",
				f.Replica, name, members)
			return
		}
	}
}

// wholeEngine refuses one member of an engine: its kinds are done to all of them, or choose one.
func (p *parser) wholeEngine(v yamlpos.Value, f *Fault) {
	for _, name := range f.Nodes {
		if n := p.s.AsBuilt.Node(name); f.Replica >= 0 && targetOf(n) == OnEngine {
			v.Get("node").Errorf("wrong-target",
				"%s is done to all of %q, a %s, it cannot be told a replica", f.Kind, name, n.Kind)
		}
	}
}

// noWire reports a wire that is not there, with those that are.
func (p *parser) noWire(v yamlpos.Value, all []topology.Wire) {
	var names []string
	for _, w := range all {
		names = append(names, p.s.AsBuilt.Short(w.From)+" -> "+p.s.AsBuilt.Short(w.To))
	}
	from, to, _ := strings.Cut(v.Text(), "->")
	turned := strings.TrimSpace(to) + " -> " + strings.TrimSpace(from)
	if slices.Contains(names, turned) {
		v.Errorf("unknown-wire",
			"there is no wire %q, a wire is written in the direction of the dial; did you mean %q",
			v.Text(), turned)
		return
	}
	v.Errorf("unknown-wire", "there is no wire %q, %s", v.Text(), diag.Expected(v.Text(), names))
}

func (p *parser) faultNodes(v yamlpos.Value, kind Kind, f *Fault) {
	found, err := p.s.AsBuilt.Select(v.Text())
	if err != nil {
		notMeant(v, err)
		return
	}
	for _, s := range found {
		if !kind.On(targetOf(s.Node)) {
			v.Errorf("wrong-target", "%s cannot be done to %q, a %s; it can be done to: %s",
				kind.Name, s.Node.Name, s.Node.Kind, targetWords(kind))
			continue
		}
		if why := p.unable(s.Node, kind); why != "" {
			v.Errorf("cannot", "%s", why)
			continue
		}
		f.Nodes = append(f.Nodes, s.Node.Name)
		if s.Replica >= 0 {
			f.Replica = s.Replica
		}
	}
}
