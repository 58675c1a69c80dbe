package topology

import "slices"

// FlowNodes are the nodes that a flow's messages pass or reach, those on its path first, in the
// path's order. A flow that is not in the topology has none.
func (t *Topology) FlowNodes(flow string) []string {
	f := t.Flow(flow)
	if f == nil {
		return nil
	}
	var nodes []string
	add := func(name string) {
		if name != "" && !slices.Contains(nodes, name) {
			nodes = append(nodes, name)
		}
	}
	for _, path := range f.Paths {
		for _, hop := range path {
			add(hop.Node)
		}
	}
	for _, w := range t.FlowWires(flow) {
		add(w.From)
		add(w.To)
	}
	return nodes
}

// FlowWires are the wires that a flow's messages need, sorted: followed from its source (or, when
// it is derived, from the steps that give birth to it) through sends, handlers and steps to its
// sinks. Logins and dead-letter channels are not among them: a connected flow runs without.
func (t *Topology) FlowWires(flow string) []Wire {
	return t.follow(flow).sorted()
}

// FlowHandlers are the handlers that a flow's messages reach, by node.
func (t *Topology) FlowHandlers(flow string) map[string][]*Handler {
	return t.follow(flow).reached
}

// HandlerFlows are the flows whose messages reach a handler, in the topology's order.
func (t *Topology) HandlerFlows(n *Node, h *Handler) []string {
	var flows []string
	for _, f := range t.Flows {
		if slices.Contains(t.follow(f.Name).reached[n.Name], h) {
			flows = append(flows, f.Name)
		}
	}
	return flows
}

// tracer follows one flow's messages through the declared handlers.
type tracer struct {
	t       *Topology
	flow    string
	wires   map[Wire]bool
	reached map[string][]*Handler // by node
}

func (t *Topology) follow(flow string) *tracer {
	tr := &tracer{t: t, flow: flow, wires: map[Wire]bool{}, reached: map[string][]*Handler{}}
	for _, n := range t.Nodes {
		for _, s := range n.Sends {
			if s.Flow == flow {
				tr.send(n, s)
			}
		}
		for _, h := range n.Handlers {
			for s := range h.Steps() {
				if s.Derive == flow {
					tr.step(n, s)
				}
			}
		}
	}
	return tr
}

func (tr *tracer) sorted() []Wire {
	var wires []Wire
	for w := range tr.wires {
		wires = append(wires, w)
	}
	return sortedWires(wires)
}

func (tr *tracer) wire(from, to string) {
	if to != "" && from != to {
		tr.wires[Wire{From: from, To: to}] = true
	}
}

func (tr *tracer) send(n *Node, s *Send) {
	tr.wire(n.Name, s.FarNode())
	if node, method, path := s.HTTP(); node != "" {
		tr.request(node, method, path)
		return
	}
	tr.channel(s.To)
}

// channel follows a message to all that consume it.
func (tr *tracer) channel(ref string) {
	for _, n := range tr.t.Nodes {
		for _, h := range n.Handlers {
			if h.Source() == ref && h.takes(tr.flow) {
				tr.wire(n.Name, ChannelNode(ref))
				tr.handler(n, h)
			}
		}
	}
}

// takes says that the broker gives a handler messages of a flow.
func (h *Handler) takes(flow string) bool {
	return len(h.Flows) == 0 || slices.Contains(h.Flows, flow)
}

// request follows a message to the handler that answers it.
func (tr *tracer) request(node, method, path string) {
	n := tr.t.Node(node)
	if n == nil {
		return
	}
	for _, h := range n.Handlers {
		if h.Answers(method, path) {
			tr.handler(n, h)
			return
		}
	}
}

func (tr *tracer) handler(n *Node, h *Handler) {
	if slices.Contains(tr.reached[n.Name], h) {
		return
	}
	tr.reached[n.Name] = append(tr.reached[n.Name], h)
	tr.steps(n, h.Do)
}

func (tr *tracer) steps(n *Node, steps []*Step) {
	for _, s := range steps {
		if !s.For(tr.flow) || (s.Derive != "" && s.Derive != tr.flow) {
			continue
		}
		tr.step(n, s)
		tr.steps(n, s.Do)
	}
}

func (tr *tracer) step(n *Node, s *Step) {
	tr.wire(n.Name, s.FarNode())
	if d := s.Policy.Dedupe; d != nil {
		tr.wire(n.Name, d.In)
	}
	switch s.Kind {
	case Call:
		tr.request(s.Target, s.Method, s.Path)
	case Publish, Request:
		tr.channel(s.Target)
	}
}
