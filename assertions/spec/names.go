package spec

import (
	"slices"

	"github.com/faultline-sim/faultline/topology"
)

// Of gives the names of a topology for a scenario that injects faults by these names and puts load
// on these flows.
func Of(t *topology.Topology, faults, loaded []string) Names {
	return &topologyNames{t: t, faults: faults, loaded: withDerived(t, loaded)}
}

type topologyNames struct {
	t              *topology.Topology
	faults, loaded []string
}

// withDerived adds the flows that are born of loaded ones, in the topology's order.
func withDerived(t *topology.Topology, loaded []string) []string {
	in := map[string]bool{}
	for _, name := range loaded {
		in[name] = true
	}
	for changed := true; changed; {
		changed = false
		for _, f := range t.Flows {
			if !in[f.Name] && in[f.DerivedFrom] {
				in[f.Name], changed = true, true
			}
		}
	}
	var all []string
	for _, f := range t.Flows {
		if in[f.Name] {
			all = append(all, f.Name)
		}
	}
	return all
}

func (n *topologyNames) Flows() []string {
	var all []string
	for _, f := range n.t.Flows {
		all = append(all, f.Name)
	}
	return all
}

func (n *topologyNames) Loaded() []string                 { return n.loaded }
func (n *topologyNames) Faults() []string                 { return n.faults }
func (n *topologyNames) Node(name string) (string, error) { return n.t.Resolve(name) }
func (n *topologyNames) Short(full string) string         { return n.t.Short(full) }

func (n *topologyNames) Handlers(node string) []string {
	var all []string
	if found := n.t.Node(node); found != nil {
		for _, h := range found.Handlers {
			all = append(all, h.Name)
		}
	}
	return all
}

func (n *topologyNames) Steps(node, handler string) []string {
	var all []string
	found := n.t.Node(node)
	if found == nil || found.Handler(handler) == nil {
		return nil
	}
	for s := range found.Handler(handler).Steps() {
		all = append(all, s.Name)
	}
	return all
}

// DeadLetters are the channels that handlers declare, named or by their source.
func (n *topologyNames) DeadLetters() []string {
	var all []string
	for _, node := range n.t.Nodes {
		for _, h := range node.Handlers {
			if ref := deadLetterOf(n.t, h); ref != "" {
				all = append(all, ref)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// deadLetterOf is where a handler's dead letters go, "" for nowhere.
func deadLetterOf(t *topology.Topology, h *topology.Handler) string {
	declared := h.Policy.DeadLetter
	if c := t.Channel(h.Source()); declared == nil && c != nil {
		declared = c.DeadLetter
	}
	switch {
	case declared == nil || h.Source() == "":
		return ""
	case declared.Channel == "":
		return topology.DeadLetterChannel(h.Source())
	}
	return declared.Channel
}
