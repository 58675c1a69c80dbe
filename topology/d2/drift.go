package d2

import (
	"fmt"
	"slices"
	"strings"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/diag"
)

// Report is a drawing held against a topology, both ways. Drift is a mistake: Diags is empty only
// when every drawn link is carried, every drawn box runs, and whatever else runs says why it is
// not drawn.
type Report struct {
	Links   []Carried       // every drawn link, in the drawing's order
	Wires   []topology.Wire // all wires of the topology
	Undrawn []topology.Wire // wires that no link stands for and no reason explains
	Excused []topology.Wire // wires that no link stands for, with a reason
	Diags   diag.List       // uncarried links, boxes without a node, undrawn nodes and wires
}

// Carried is one drawn link with what carries it; nothing does when By is empty.
type Carried struct {
	Link Link
	By   []Carrier
}

// Carrier is one thing that makes a drawn link real: a wire between its ends; with Channel, a
// channel between them whose broker the wire leads to; with Login, the way on of one who logged in
// at one end.
type Carrier struct {
	Wire    topology.Wire
	Channel string // full channel reference
	Login   string // the login service's full name
}

// String is "wire a -> b", with what else there is to it.
func (c Carrier) String() string {
	switch {
	case c.Channel != "":
		return fmt.Sprintf("channel %s over wire %s", c.Channel, c.Wire)
	case c.Login != "":
		return fmt.Sprintf("wire %s after a login at %s", c.Wire, c.Login)
	default:
		return "wire " + c.Wire.String()
	}
}

// Held is how many of the drawn links are carried.
func (r Report) Held() int {
	held := 0
	for _, l := range r.Links {
		if len(l.By) > 0 {
			held++
		}
	}
	return held
}

// String is "17 of 17 drawn links carried by 22 wires".
func (r Report) String() string {
	return fmt.Sprintf("%d of %d drawn links carried by %d wires",
		r.Held(), len(r.Links), len(r.Wires))
}

// Drift compares a topology with its drawing. The rules:
//
//   - a link is carried by a wire between its ends in either direction of the dial, by a channel
//     between them, or by the way on of a fleet that logged in at one of its ends;
//   - a container as an end stands for at least one of its members;
//   - a node below a drawn leaf box refines it: its wires count for the box, and wires within one
//     box need no link;
//   - a wire to a broker is drawn when a channel that it serves carries a drawn link;
//   - a node, or a wire that ends at it, is excused by the node's undrawn: "reason".
func Drift(t *topology.Topology, d *Drawing) Report {
	s := newSurvey(t, d)
	report := Report{Wires: t.Wires()}
	for _, l := range d.Links {
		by := s.carriers(l)
		report.Links = append(report.Links, Carried{Link: l, By: by})
		if len(by) == 0 {
			report.Diags.Add(l.At, "drift", "drawn link %s is carried by no wire and no channel; "+
				"let a flow or a step use it, or take it out of the drawing", l)
		}
	}
	s.boxes(&report)
	s.nodes(&report)
	s.undrawn(&report)
	return report
}

// survey is a topology laid over a drawing.
type survey struct {
	t       *topology.Topology
	d       *Drawing
	box     map[string]string   // node to the box that it is or refines; absent when not drawn
	members map[string][]string // box to the nodes in or below it
	passes  []pass
}

// pass is a channel between a node that publishes to it and one that takes from it.
type pass struct{ channel, from, to string }

func newSurvey(t *topology.Topology, d *Drawing) *survey {
	s := &survey{t: t, d: d, box: map[string]string{}, members: map[string][]string{}}
	for _, n := range t.Nodes {
		nearest := ""
		for _, b := range d.Boxes {
			if !within(n.Name, b.Name) {
				continue
			}
			s.members[b.Name] = append(s.members[b.Name], n.Name)
			if len(b.Name) > len(nearest) {
				nearest = b.Name
			}
		}
		if b := d.Box(nearest); b != nil && (!b.Container || b.Name == n.Name) {
			s.box[n.Name] = nearest
		}
	}
	s.passes = passes(t)
	return s
}

// within says that a name is a box's own or lies below it.
func within(name, box string) bool {
	return name == box || strings.HasPrefix(name, box+".")
}

// passes lists who gives messages to whom over which channel, answers included.
func passes(t *topology.Topology) []pass {
	var all []pass
	through := func(from, channel string) {
		for _, n := range t.Consumers(channel) {
			all = append(all, pass{channel, from, n.Name})
		}
	}
	for _, n := range t.Nodes {
		for _, send := range n.Sends {
			if c := send.Channel(); c != "" {
				through(n.Name, c)
			}
		}
		for _, h := range n.Handlers {
			for step := range h.Steps() {
				switch step.Kind {
				case topology.Publish:
					through(n.Name, step.Target)
				case topology.Request:
					through(n.Name, step.Target)
					for _, far := range t.Consumers(step.Target) {
						all = append(all, pass{step.ReplyTo, far.Name, n.Name})
					}
				}
			}
		}
	}
	return all
}

// carriers lists what carries a link, wires first.
func (s *survey) carriers(l Link) []Carrier {
	var by []Carrier
	add := func(c Carrier) {
		if !slices.Contains(by, c) {
			by = append(by, c)
		}
	}
	wires := s.t.Wires()
	for _, w := range wires {
		if s.joins(l, w.From, w.To) {
			add(Carrier{Wire: w})
		}
	}
	for _, p := range s.passes {
		if s.joins(l, p.from, p.to) {
			add(Carrier{Wire: topology.Wire{From: p.to, To: topology.ChannelNode(p.channel)},
				Channel: p.channel})
		}
	}
	for _, w := range wires {
		if login := s.login(w); login != "" && s.joins(l, login, w.To) {
			add(Carrier{Wire: w, Login: login})
		}
	}
	return by
}

// login is where the one who dials a wire logged in before, "" when the wire is no way on.
func (s *survey) login(w topology.Wire) string {
	n := s.t.Node(w.From)
	if n == nil || n.Login == w.To {
		return ""
	}
	return n.Login
}

// joins says that two different nodes stand at the two ends of a link, either way round. Of a
// container linked with its own member only the other members count.
func (s *survey) joins(l Link, a, b string) bool {
	if a == b {
		return false
	}
	return s.stands(a, l.From, l.To) && s.stands(b, l.To, l.From) ||
		s.stands(b, l.From, l.To) && s.stands(a, l.To, l.From)
}

func (s *survey) stands(node, end, other string) bool {
	if within(other, end) && within(node, other) {
		return false
	}
	return slices.Contains(s.members[end], node)
}

// boxes reports the drawn leaf boxes for which nothing runs.
func (s *survey) boxes(report *Report) {
	for _, b := range s.d.Boxes {
		if !b.Container && len(s.members[b.Name]) == 0 {
			report.Diags.Add(b.At, "drift", "drawn box %q has no node in the topology; add it under "+
				"nodes, or take it out of the drawing", b.Name)
		}
	}
}

// nodes reports the nodes that are not drawn.
func (s *survey) nodes(report *Report) {
	for _, n := range s.t.Nodes {
		if s.box[n.Name] == "" && n.Undrawn == "" {
			report.Diags.Add(s.at(n), "drift", "node %q is not drawn in %s; draw it, or say why not "+
				"with undrawn: \"reason\"", n.Name, s.d.File)
		}
	}
}

// undrawn finds the wires that no link stands for. Those of an undrawn node are listed and not
// reported again.
func (s *survey) undrawn(report *Report) {
	drawn := s.drawnWires(report.Links)
	for _, w := range report.Wires {
		from, to := s.t.Node(w.From), s.t.Node(w.To)
		switch {
		case drawn[w]:
		case from.Undrawn != "" || to.Undrawn != "":
			report.Excused = append(report.Excused, w)
		default:
			report.Undrawn = append(report.Undrawn, w)
			if s.box[w.From] != "" && s.box[w.To] != "" {
				report.Diags.Add(s.at(from), "drift", "wire %s is not drawn in %s; draw a link, or say "+
					"why not with undrawn: \"reason\" at one of its ends", w, s.d.File)
			}
		}
	}
}

// drawnWires gathers the wires that links stand for, and those within one box. A carrying channel
// brings the wires of both its ends to the broker; a way on after a login counts when the login
// itself is drawn.
func (s *survey) drawnWires(links []Carried) map[topology.Wire]bool {
	drawn := map[topology.Wire]bool{}
	for _, w := range s.t.Wires() {
		drawn[w] = s.box[w.From] != "" && s.box[w.From] == s.box[w.To]
	}
	for _, l := range links {
		for _, c := range l.By {
			if c.Login == "" {
				drawn[c.Wire] = true
			}
		}
		for _, p := range s.passes {
			if s.joins(l.Link, p.from, p.to) {
				broker := topology.ChannelNode(p.channel)
				drawn[topology.Wire{From: p.from, To: broker}] = true
				drawn[topology.Wire{From: p.to, To: broker}] = true
			}
		}
	}
	for _, l := range links {
		for _, c := range l.By {
			if c.Login != "" && drawn[topology.Wire{From: c.Wire.From, To: c.Login}] {
				drawn[c.Wire] = true
			}
		}
	}
	return drawn
}

func (s *survey) at(n *topology.Node) diag.Position {
	if n.At.File == "" {
		return diag.Position{File: s.t.File}
	}
	return n.At
}

// Plain is the links as a topology keeps them.
func (d *Drawing) Plain() []topology.Link {
	links := make([]topology.Link, len(d.Links))
	for i, l := range d.Links {
		links[i] = l.Link
	}
	return links
}
