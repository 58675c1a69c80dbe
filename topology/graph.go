package topology

import "slices"

// Hurt is one flow in the predicted blast radius of a fault, and why: Path leads from the faulted
// node or wire over the handlers that wait for it to the flow.
type Hurt struct {
	Flow string
	Path []string
}

// Predict is the predicted blast radius of a fault on nodes and wires (full names): the flows whose
// success or latency it can hurt, in the topology's order. It is the names of PredictPaths.
func (t *Topology) Predict(nodes []string, wires []Wire) []string {
	var flows []string
	for _, h := range t.PredictPaths(nodes, wires) {
		flows = append(flows, h.Flow)
	}
	return flows
}

// PredictPaths is the predicted blast radius with its reasons. A flow is in it when
//
//   - one of its sends, channels, handlers or steps uses a faulted node or wire;
//   - it shares a handler, or a bounded pool of handlers, with work that waits for the fault: who
//     calls or requests synchronously waits with the one called, and holds its place meanwhile;
//   - it is derived from a flow that is hurt before the new message's birth.
//
// A channel in between ends the waiting of those before it; the flow behind it is still hurt.
// Logins are left out, since who is connected goes on. It predicts what can be hurt: policies such
// as breakers and fallbacks may keep a predicted flow whole.
func (t *Topology) PredictPaths(nodes []string, wires []Wire) []Hurt {
	b := &blast{t: t, nodes: nodes, wires: wires, waiting: map[*Handler][]string{}}
	for b.spread() {
	}
	var all []Hurt
	for _, f := range t.Flows {
		if path := b.flow(f, nil); path != nil {
			all = append(all, Hurt{Flow: f.Name, Path: append(slices.Clone(path), f.Name)})
		}
	}
	return all
}

// Downstream is the nodes that messages of any flow can reach from a node, over any number of hops,
// in the topology's order; the node itself is not among them.
func (t *Topology) Downstream(node string) []string { return t.reach(node, t.hops(false)) }

// Upstream is the nodes from which messages of any flow can reach a node, in the topology's order.
func (t *Topology) Upstream(node string) []string { return t.reach(node, t.hops(true)) }

// hops is who gives messages to whom. Channels stand between those who publish and those who take,
// so that what meets on one broker only does not mix.
func (t *Topology) hops(back bool) map[string][]string {
	next := map[string][]string{}
	add := func(from, to string) {
		if back {
			from, to = to, from
		}
		if from != "" && to != "" {
			next[from] = append(next[from], to)
		}
	}
	for _, n := range t.Nodes {
		for _, s := range n.Sends {
			node, _, _ := s.HTTP()
			add(n.Name, node)
			add(n.Name, s.Channel())
		}
		for _, h := range n.Handlers {
			add(h.Source(), n.Name)
			for s := range h.Steps() {
				switch s.Kind {
				case Lookup:
					add(s.Target, n.Name)
				case Request:
					add(n.Name, s.Target)
					add(s.ReplyTo, n.Name)
				case Call, StoreStep, Publish:
					add(n.Name, s.Target)
				}
			}
		}
	}
	return next
}

// reach follows hops from a node, or from all channels of a broker; a channel on the way stands for
// its broker.
func (t *Topology) reach(node string, next map[string][]string) []string {
	found, queue := map[string]bool{node: true}, []string{node}
	for _, c := range t.Channels {
		if c.Node() == node {
			queue = append(queue, c.Ref)
		}
	}
	for ; len(queue) > 0; queue = queue[1:] {
		for _, far := range next[queue[0]] {
			if !found[far] {
				found[far] = true
				found[ChannelNode(far)] = true
				queue = append(queue, far)
			}
		}
	}
	var names []string
	for _, n := range t.Nodes {
		if found[n.Name] && n.Name != node {
			names = append(names, n.Name)
		}
	}
	return names
}
