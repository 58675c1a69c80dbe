package diagnose

import "github.com/faultline-sim/faultline/topology"

// roots are the signs that no other sign explains.
func (w *ward) roots() []*sign {
	var all []*sign
	for _, s := range w.signs() {
		if s.significant() && !w.explained(s) {
			all = append(all, s)
		}
	}
	return all
}

// explained says whether a sign is another one's consequence.
func (w *ward) explained(s *sign) bool {
	deeper := w.graph.deeper(s.op)
	for _, o := range w.signs() {
		if o != s && o.significant() && o.overlaps(s) && o.causes(s) && w.explains(o, s, deeper) {
			return true
		}
	}
	return false
}

// explains says whether o is what s suffers from. A deeper operation explains one that waits for
// it. A node that went down explains all that it does or is asked. A step explains the run it is
// part of. A request explains nothing of the wire that its answerer sits behind.
func (w *ward) explains(o, s *sign, deeper map[place]bool) bool {
	if o.down > 0 && s.down == 0 {
		return o.op.node == s.op.node
	}
	if s.down > 0 {
		return false
	}
	at := place{o.op.node, o.op.handler}
	switch o.op.kind {
	case "step":
		if s.op.kind == "step" && s.op.node == o.op.node && s.op.handler == o.op.handler {
			return false // beside it, not below
		}
		return deeper[at]
	case "run":
		own := s.op.node == o.op.node && s.op.handler == o.op.handler
		return deeper[at] && !(own && s.op.kind == "run")
	case "connection":
		return s.op.kind == "receive" && s.op.wire == o.op.wire || w.answersBehind(o, s, deeper)
	case "send", "receive", "ack":
		return w.answersBehind(o, s, deeper)
	}
	return false
}

// answersBehind says whether the wire of a sign is the one that an answerer takes its requests
// from: a fleet that is cut off does not reply.
func (w *ward) answersBehind(o, s *sign, deeper map[place]bool) bool {
	_, broker := ends(o.op.wire)
	for at := range deeper {
		if at.node != o.op.node || at.node == s.op.node {
			continue
		}
		n := w.topology.Node(at.node)
		if n == nil {
			continue
		}
		h := n.Handler(at.handler)
		if h != nil && h.Source() != "" && topology.ChannelNode(h.Source()) == broker {
			return true
		}
	}
	return false
}
