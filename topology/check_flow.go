package topology

import (
	"github.com/faultline-sim/faultline/topology/claims"
	"slices"
	"strings"
)

// checkPaths refuses paths that no message could take.
func (d *decoder) checkPaths() {
	for _, f := range d.t.Flows {
		if d.broken[f] {
			continue
		}
		if len(f.Paths) == 0 {
			d.broken[f] = true
			d.report(f, "no-path", "flow %q has no path, write it as path: a -> broker/channel -> b",
				f.Name)
			continue
		}
		if d.checkSource(f); d.broken[f] {
			continue
		}
		for i := range f.Paths {
			d.checkLine(f, i)
			if i > 0 && !onEarlier(f, i) {
				d.pathError(f, i, "loose-line",
					"line %d of flow %q begins at %q, which is on no line before it",
					i+1, f.Name, hopText(f.Paths[i][0]))
			}
		}
	}
	d.checkDerived()
}

// checkSource refuses a flow that begins where no message can begin.
func (d *decoder) checkSource(f *Flow) {
	first := f.Paths[0][0]
	n := d.t.Node(first.Node)
	switch {
	case n == nil || n.Kind == "":
	case first.Channel != "" || n.Kind == Store:
		d.pathError(f, 0, "cannot-send", "flow %q begins at %q, accepted: a fleet, cloud or service",
			f.Name, hopText(first))
	}
}

func hopText(h Hop) string {
	if h.Channel != "" {
		return h.Channel
	}
	return h.Node
}

func onEarlier(f *Flow, line int) bool {
	first := f.Paths[line][0]
	for _, path := range f.Paths[:line] {
		if slices.Contains(path, first) {
			return true
		}
	}
	return false
}

// checkLine refuses neighbours that cannot be joined, and an end in a channel.
func (d *decoder) checkLine(f *Flow, line int) {
	path := f.Paths[line]
	for i := 1; i < len(path); i++ {
		if reason := d.joint(path[i-1], path[i]); reason != "" {
			d.pathError(f, line, "wrong-hop", "flow %q cannot go from %q to %q: %s",
				f.Name, hopText(path[i-1]), hopText(path[i]), reason)
		}
	}
	if last := path[len(path)-1]; last.Channel != "" {
		d.pathError(f, line, "wrong-hop", "flow %q ends in channel %q, a path ends at a node",
			f.Name, last.Channel)
	}
}

// joint is why a message cannot go from a to b, "" when it can.
func (d *decoder) joint(a, b Hop) string {
	from, to := d.t.Node(a.Node), d.t.Node(b.Node)
	if from == nil || to == nil || from.Kind == "" || to.Kind == "" {
		return ""
	}
	mailed := a.Channel != "" && from.Kind != Broker
	switch {
	case a.Channel != "" && b.Channel != "":
		return "a node stands between two channels"
	case b.Channel != "" && to.Kind != Broker && a.Node != b.Node:
		return "only the service itself puts messages in its mailboxes"
	case mailed && to.Kind != Fleet:
		return "a mailbox is read by a fleet"
	case a.Channel == "" && from.Kind == Store:
		return "a store passes nothing on"
	case a.Channel != "" && to.Kind == Store:
		return "a store takes no messages from a channel, a service stores them"
	case a.Channel == "" && from.Kind == Fleet && (to.Kind == Fleet || to.Kind == Store):
		return "a fleet talks to brokers, services and clouds"
	case a.Channel == "" && b.Channel == "" && a.Node == b.Node:
		return "it is the same node"
	}
	return fleetProtocol(a, from, b, to)
}

// fleetProtocol is why a fleet cannot use a broker: devices speak MQTT and HTTP.
func fleetProtocol(a Hop, from *Node, b Hop, to *Node) string {
	switch {
	case b.Channel != "" && from.Kind == Fleet && notForFleets(to):
		return "a fleet speaks mqtt and http, not " + to.Protocol
	case a.Channel != "" && to.Kind == Fleet && notForFleets(from):
		return "a fleet speaks mqtt and http, not " + from.Protocol
	}
	return ""
}

// notForFleets says that a broker speaks what devices do not.
func notForFleets(n *Node) bool {
	b, ok := claims.Of(n.Protocol)
	return ok && n.Kind == Broker && !b.Devices
}

// checkDerived refuses flows that derive from themselves, and those that begin beside their parent.
func (d *decoder) checkDerived() {
	for _, f := range d.t.Flows {
		if f.When != "" && f.DerivedFrom == "" {
			d.report(f, "missing-key", "flow %q has when but no derived_from", f.Name)
		}
		if f.DerivedFrom == "" {
			continue
		}
		if chain := d.cycle(f); chain != "" {
			d.broken[f] = true
			d.report(f, "cycle", "flow %q derives from itself: %s", f.Name, chain)
			continue
		}
		parent := d.t.Flow(f.DerivedFrom)
		if parent == nil || d.broken[f] || d.broken[parent] {
			continue
		}
		if source := f.Source(); !parent.passes(source) {
			d.broken[f] = true
			d.report(f, "not-on-path", "flow %q begins at %q, which is not on the path of its parent %q",
				f.Name, source, parent.Name)
		}
	}
}

// cycle is the chain of flows by which f derives from itself, "" when it does not.
func (d *decoder) cycle(f *Flow) string {
	names := []string{f.Name}
	for next := d.t.Flow(f.DerivedFrom); next != nil; next = d.t.Flow(next.DerivedFrom) {
		names = append(names, next.Name)
		if next == f {
			return strings.Join(names, " <- ")
		}
		if slices.Contains(names[:len(names)-1], next.Name) {
			return "" // another flow's cycle, reported there
		}
	}
	return ""
}
