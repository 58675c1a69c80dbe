package topology

import "slices"

// blast is a fault on its way through a topology.
type blast struct {
	t       *Topology
	nodes   []string
	wires   []Wire
	waiting map[*Handler][]string // handlers that wait for the fault, with the path from it
}

// touched is what of the fault lies between two nodes, "" for nothing.
func (b *blast) touched(from, to string) string {
	switch w := (Wire{From: from, To: to}); {
	case to == "" || from == to:
		return ""
	case slices.Contains(b.wires, w):
		return w.String()
	case slices.Contains(b.nodes, to):
		return to
	case slices.Contains(b.nodes, from):
		return from
	default:
		return ""
	}
}

// spread finds handlers that wait for the fault, or for handlers found before; false when there
// were no more.
func (b *blast) spread() bool {
	before := len(b.waiting)
	for _, n := range b.t.Nodes {
		for _, h := range n.Handlers {
			if b.waiting[h] != nil {
				continue
			}
			if path := b.holds(n, h); path != nil {
				b.waiting[h] = append(slices.Clone(path), n.Name+" "+h.Name)
			}
		}
	}
	return len(b.waiting) > before
}

// holds is why a handler waits, nil when it does not.
func (b *blast) holds(n *Node, h *Handler) []string {
	if slices.Contains(b.nodes, n.Name) {
		return []string{n.Name}
	}
	for s := range h.Steps() {
		if at := b.step(n, s); at != nil {
			return at
		}
	}
	if d := h.Policy.Dedupe; d != nil {
		if at := b.touched(n.Name, d.In); at != "" {
			return []string{at}
		}
	}
	for _, other := range n.Handlers {
		if n.Pool > 0 && b.waiting[other] != nil {
			return append(slices.Clone(b.waiting[other]), n.Name+" pool")
		}
	}
	return nil
}

// step is why a step waits: its far end is faulted, or answers late.
func (b *blast) step(n *Node, s *Step) []string {
	if at := b.touched(n.Name, s.FarNode()); at != "" {
		return []string{at}
	}
	if d := s.Policy.Dedupe; d != nil {
		if at := b.touched(n.Name, d.In); at != "" {
			return []string{at}
		}
	}
	switch s.Kind {
	case Call:
		if h := b.t.answering(s.Target, s.Method, s.Path); h != nil && h.Ack != "before_work" {
			return b.waiting[h]
		}
	case Request:
		return b.requested(s)
	}
	return nil
}

// requested is why a request over a broker is answered late: one who serves it waits, or cannot
// reach the broker.
func (b *blast) requested(s *Step) []string {
	for _, far := range b.t.Consumers(s.Target) {
		if at := b.touched(far.Name, ChannelNode(s.Target)); at != "" {
			return []string{at}
		}
		for _, h := range far.Handlers {
			if h.Source() == s.Target && b.waiting[h] != nil {
				return b.waiting[h]
			}
		}
	}
	return nil
}

// answering is the handler of a service that takes a request, nil when there is none.
func (t *Topology) answering(node, method, path string) *Handler {
	n := t.Node(node)
	if n == nil {
		return nil
	}
	for _, h := range n.Handlers {
		if h.Answers(method, path) {
			return h
		}
	}
	return nil
}

// flow is why a flow is hurt, nil when it is not: on its whole way, or, with a goal, on the way to
// that handler.
func (b *blast) flow(f *Flow, goal *Handler) []string {
	j := journey{b: b, flow: f.Name, goal: goal, seen: map[*Handler]int{}}
	for _, n := range b.t.Nodes {
		for _, s := range n.Sends {
			if s.Flow == f.Name {
				j.send(n, s)
			}
		}
		for _, h := range n.Handlers {
			for s := range h.Steps() {
				if s.Derive == f.Name {
					j.onward(n, s, j.note(b.birth(f, n, h)))
				}
			}
		}
	}
	return j.found
}

// birth is why a derived flow's messages are born late: its parent came late to the handler, or the
// handler waits.
func (b *blast) birth(f *Flow, n *Node, h *Handler) []string {
	if b.waiting[h] != nil {
		return b.waiting[h]
	}
	if at := b.arrival(n, h); at != nil {
		return at
	}
	parent := b.t.Flow(f.DerivedFrom)
	if parent == nil || parent == f {
		return nil
	}
	if path := b.flow(parent, h); path != nil {
		return append(slices.Clone(path), parent.Name)
	}
	return nil
}

// arrival is what of the fault lies between a handler and the channel it takes messages from.
func (b *blast) arrival(n *Node, h *Handler) []string {
	if source := h.Source(); source != "" {
		if at := b.touched(n.Name, ChannelNode(source)); at != "" {
			return []string{at}
		}
	}
	return nil
}

// journey follows the messages of one flow from handler to handler, and carries along why they are
// late by then.
type journey struct {
	b     *blast
	flow  string
	goal  *Handler // where to stop; nil goes all the way
	seen  map[*Handler]int
	found []string // the first reason that counts
}

// note keeps a reason for the flow to be hurt; on the way to a goal only what arrives there counts.
func (j *journey) note(late []string) []string {
	if j.goal == nil && j.found == nil {
		j.found = late
	}
	return late
}

func (j *journey) send(n *Node, s *Send) {
	var late []string
	if at := j.b.touched(n.Name, s.FarNode()); at != "" {
		late = j.note([]string{at})
	}
	if node, method, path := s.HTTP(); node != "" {
		j.into(node, j.b.t.answering(node, method, path), late)
		return
	}
	j.channel(s.To, late)
}

// channel follows the flow to all that take it from a channel.
func (j *journey) channel(ref string, late []string) {
	for _, n := range j.b.t.Consumers(ref) {
		for _, h := range n.Handlers {
			if h.Source() == ref {
				j.into(n.Name, h, late)
			}
		}
	}
}

// into follows the flow through a handler: a second time only when it is late now and was not then.
func (j *journey) into(node string, h *Handler, late []string) {
	n := j.b.t.Node(node)
	if h == nil || n == nil {
		return
	}
	if late == nil {
		late = j.b.arrival(n, h)
	}
	if h == j.goal {
		if j.found == nil {
			j.found = late
		}
		return
	}
	if late == nil {
		late = j.b.waiting[h]
	}
	visit := 1
	if j.note(late) != nil {
		visit = 2
	}
	if j.seen[h] < visit {
		j.seen[h] = visit
		j.steps(n, h.Do, late)
	}
}

func (j *journey) steps(n *Node, steps []*Step, late []string) {
	for _, s := range steps {
		if s.For(j.flow) && (s.Derive == "" || s.Derive == j.flow) {
			j.onward(n, s, late)
			j.steps(n, s.Do, late)
		}
	}
}

// onward follows the flow out of one step.
func (j *journey) onward(n *Node, s *Step, late []string) {
	if at := j.b.touched(n.Name, s.FarNode()); at != "" && late == nil {
		late = j.note([]string{at})
	}
	switch s.Kind {
	case Call:
		j.into(s.Target, j.b.t.answering(s.Target, s.Method, s.Path), late)
	case Publish, Request:
		j.channel(s.Target, late)
	}
}
