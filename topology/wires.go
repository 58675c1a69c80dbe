package topology

import (
	"fmt"
	"slices"
	"strings"

	"github.com/faultline-sim/faultline/topology/diag"
)

// Wires are the connection paths that the nodes need, sorted, each once: a fleet's login, every
// send, the channel a handler takes messages from (a mailbox is dialled by the fleet), every step
// with a far end, reply and dead-letter channels, the stores that remember for dedupe, and what a
// program of the user's own is told the address of. What a node does with itself needs no wire.
func (t *Topology) Wires() []Wire {
	var wires []Wire
	for _, n := range t.Nodes {
		for _, far := range t.farEnds(n) {
			if far != "" && far != n.Name {
				wires = append(wires, Wire{From: n.Name, To: far})
			}
		}
	}
	return sortedWires(wires)
}

func sortedWires(wires []Wire) []Wire {
	slices.SortFunc(wires, func(a, b Wire) int {
		if c := strings.Compare(a.From, b.From); c != 0 {
			return c
		}
		return strings.Compare(a.To, b.To)
	})
	return slices.Compact(wires)
}

// farEnds are the nodes that n dials over wires, "" among them where there is none. What runs
// elsewhere dials by itself, over no wire.
func (t *Topology) farEnds(n *Node) []string {
	if n.Elsewhere() {
		return nil
	}
	return t.dialled(n)
}

// dialled are the nodes that n dials, however it does.
func (t *Topology) dialled(n *Node) []string {
	far := append([]string{n.Login}, n.Own.named()...)
	for _, s := range n.Sends {
		far = append(far, s.FarNode())
	}
	for _, h := range n.Handlers {
		far = append(far, handlerEnds(h)...)
		for s := range h.Steps() {
			far = append(far, stepEnds(s)...)
		}
	}
	return far
}

func handlerEnds(h *Handler) []string {
	ends := []string{ChannelNode(h.Source())}
	if d := h.Policy.DeadLetter; d != nil && !d.Dropped {
		ends = append(ends, ChannelNode(d.Channel))
	}
	if d := h.Policy.Dedupe; d != nil {
		ends = append(ends, d.In)
	}
	return ends
}

func stepEnds(s *Step) []string {
	ends := []string{s.FarNode()}
	if s.Kind == Request {
		ends = append(ends, ChannelNode(s.ReplyTo))
	}
	if d := s.Policy.DeadLetter; d != nil && !d.Dropped {
		ends = append(ends, ChannelNode(d.Channel))
	}
	if d := s.Policy.Dedupe; d != nil {
		ends = append(ends, d.In)
	}
	return ends
}

// Wire is the wire that "from -> to" stands for; both ends may be any unique suffix.
func (t *Topology) Wire(text string) (Wire, error) {
	wires, err := t.SelectWires(text)
	if err != nil {
		return Wire{}, err
	}
	if len(wires) > 1 {
		return Wire{}, fmt.Errorf("wire %q is ambiguous, it could be %s", text, wireList(wires))
	}
	return wires[0], nil
}

// SelectWires are the wires that a pattern "from -> to" means; either end may be a suffix or have
// stars in it. A pattern that means no wire is an error that lists the wires.
func (t *Topology) SelectWires(pattern string) ([]Wire, error) {
	ends := splitOutside(pattern, "->")
	if len(ends) != 2 {
		return nil, fmt.Errorf("wire %q has the wrong form, write it as \"from -> to\"", pattern)
	}
	var sides [2]map[string]bool
	for i, end := range ends {
		selected, err := t.Select(strings.TrimSpace(end))
		if err != nil {
			return nil, err
		}
		sides[i] = map[string]bool{}
		for _, s := range selected {
			sides[i][s.Node.Name] = true
		}
	}
	var found, all = []Wire(nil), t.Wires()
	for _, w := range all {
		if sides[0][w.From] && sides[1][w.To] {
			found = append(found, w)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("wire %q is not in the topology, %s", pattern, t.expectedWires(pattern))
	}
	return found, nil
}

// expectedWires lists the wires by short names; the one with the same ends turned round is the
// nearest there can be.
func (t *Topology) expectedWires(pattern string) string {
	var names []string
	ends := splitOutside(pattern, "->")
	turned := strings.TrimSpace(ends[1]) + " -> " + strings.TrimSpace(ends[0])
	for _, w := range t.Wires() {
		short := t.Short(w.From) + " -> " + t.Short(w.To)
		if short == turned {
			return fmt.Sprintf("it is dialled the other way; did you mean %q", turned)
		}
		names = append(names, short)
	}
	return diag.Expected(pattern, names)
}

func wireList(wires []Wire) string {
	names := make([]string, len(wires))
	for i, w := range wires {
		names[i] = w.String()
	}
	return strings.Join(names, " or ")
}
