package topology

import (
	"fmt"
	"slices"
	"time"
)

// impatientCaller: a caller that times out while the one called still retries asks again, and both
// retry at once.
func (l *linter) impatientCaller(n *Node, h *Handler, s *Step) {
	if s.Kind != Call || s.Policy.Timeout == 0 {
		return
	}
	far := l.t.answering(s.Target, s.Method, s.Path)
	if far == nil || far.Ack == "before_work" || !retries(far) {
		return
	}
	if worst := l.worst(far, nil); worst > s.Policy.Timeout {
		l.add("timeout-below-retries", SeverityFault, about{node: n, flow: l.firstFlow(h)},
			fmt.Sprintf("%s gives up on %s after %v, while %s may go on retrying for %v",
				l.where(n, h), l.t.Short(s.Target), s.Policy.Timeout, l.t.Short(s.Target), worst),
			fmt.Sprintf("give the call at least %v, or the retries behind it less", worst))
	}
}

// firstFlow is the first flow of a handler, nil when it has none.
func (l *linter) firstFlow(h *Handler) *Flow {
	if len(l.flows[h]) == 0 {
		return nil
	}
	return l.flows[h][0]
}

func retries(h *Handler) bool {
	for s := range h.Steps() {
		if r := s.Policy.Retry; r != nil && r.Attempts > 1 {
			return true
		}
	}
	return false
}

// worst is the longest that a handler's declared timeouts, retries and work let it take; what has
// no bound counts as nothing. Above are the handlers that wait for this one.
func (l *linter) worst(h *Handler, above []*Handler) time.Duration {
	if h == nil || slices.Contains(above, h) {
		return 0
	}
	var sum time.Duration
	for s := range h.Steps() {
		sum += l.worstStep(s, append(above, h))
	}
	return sum
}

func (l *linter) worstStep(s *Step, above []*Handler) time.Duration {
	once := s.Policy.Timeout
	if once == 0 {
		once = l.unbounded(s, above)
	}
	return spent(s, once)
}

// unbounded is how long one try of a step without a timeout may take: its work, or as long as those
// behind it take.
func (l *linter) unbounded(s *Step, above []*Handler) time.Duration {
	switch s.Kind {
	case Work:
		return s.P99
	case Call:
		far := l.t.answering(s.Target, s.Method, s.Path)
		if far != nil && far.Ack != "before_work" {
			return l.worst(far, above)
		}
	case Request:
		var most time.Duration
		for _, n := range l.t.Consumers(s.Target) {
			for _, h := range n.Handlers {
				if h.Source() == s.Target {
					most = max(most, l.worst(h, above))
				}
			}
		}
		return most
	}
	return 0
}

// spent is the time of all tries of a step with the longest pauses between them.
func spent(s *Step, once time.Duration) time.Duration {
	r := s.Policy.Retry
	if r == nil {
		return once
	}
	total := once * time.Duration(max(1, r.Attempts))
	for i := 1; i < r.Attempts; i++ {
		_, most := r.Backoff.Pause(i)
		total += most
	}
	return total
}

// replyChain: an answer that is promised sooner than the steps on its way may take.
func (l *linter) replyChain(f *Flow) {
	if f.ReplyWithin == 0 {
		return
	}
	for _, n := range l.t.Nodes {
		s := n.Send(f.Name)
		if s == nil {
			continue
		}
		node, method, path := s.HTTP()
		far := l.t.answering(node, method, path)
		if far == nil {
			continue
		}
		work, worst := l.working(far, nil), l.worst(far, nil)
		switch a := (about{node: n, flow: f}); {
		case work > f.ReplyWithin:
			l.add("reply-too-late", SeverityFault, a,
				fmt.Sprintf("flow %s promises an answer within %v, the work on its way alone takes %v (p99)",
					f.Name, f.ReplyWithin, work), "promise a later answer, or do less before it")
		case worst > f.ReplyWithin:
			l.add("reply-too-late", SeverityWarning, a,
				fmt.Sprintf("flow %s promises an answer within %v, timeouts and retries on its way add up "+
					"to %v", f.Name, f.ReplyWithin, worst), "shorten timeouts or retries on the way")
		}
	}
}

// working is the declared work (p99) of a handler and of those it waits for.
func (l *linter) working(h *Handler, above []*Handler) time.Duration {
	if h == nil || slices.Contains(above, h) || len(above) > 0 && h.Ack == "before_work" {
		return 0
	}
	above = append(above, h)
	var sum time.Duration
	for s := range h.Steps() {
		switch s.Kind {
		case Work:
			sum += s.P99
		case Call:
			sum += l.working(l.t.answering(s.Target, s.Method, s.Path), above)
		case Request:
			for _, n := range l.t.Consumers(s.Target) {
				for _, far := range n.Handlers {
					if far.Source() == s.Target {
						sum += l.working(far, above)
					}
				}
			}
		}
	}
	return sum
}

// shortTTL: a message that expires before its retries end is never tried as often as declared.
func (l *linter) shortTTL(n *Node, h *Handler) {
	ttl := h.Policy.TTL
	if c := l.t.Channel(h.Source()); c != nil && c.TTL > 0 && (ttl == 0 || c.TTL < ttl) {
		ttl = c.TTL
	}
	if ttl == 0 || !retries(h) {
		return
	}
	if worst := l.worst(h, nil); worst > ttl {
		l.add("ttl-below-retries", SeverityFault, about{node: n, flow: l.firstFlow(h)},
			fmt.Sprintf("messages of %s expire after %v, its retries may go on for %v",
				l.where(n, h), ttl, worst),
			fmt.Sprintf("declare a ttl above %v, or fewer attempts", worst))
	}
}

// longBreaker: while a breaker is open a flow's deadline passes.
func (l *linter) longBreaker(n *Node, h *Handler, s *Step) {
	b := s.Policy.Breaker
	if b == nil {
		return
	}
	for _, f := range l.flows[h] {
		slo := f.deadline()
		if slo > 0 && b.Open > slo {
			l.add("breaker-above-slo", SeverityWarning, about{node: n, flow: f},
				fmt.Sprintf("the breaker of %s at %s stays open for %v, flow %s has %v to arrive",
					s.Name, l.where(n, h), b.Open, f.Name, slo),
				"expect the flow's p99 to break at each opening, or open for less")
		}
	}
}

// deadline is the tightest time that a flow promises, 0 for none.
func (f *Flow) deadline() time.Duration {
	least := f.ReplyWithin
	for _, s := range f.Sinks {
		if s.P99 > 0 && (least == 0 || s.P99 < least) {
			least = s.P99
		}
	}
	return least
}

// noTimeout: a call without a bound holds its caller as long as the one called pleases.
func (l *linter) noTimeout(n *Node, h *Handler, s *Step) {
	synchronous := s.Kind == Call || s.Kind == Request
	if synchronous && s.Policy.Timeout == 0 && h.Policy.Timeout == 0 && n.Kind != Cloud {
		l.add("no-timeout", SeverityInfo, about{node: n, flow: l.firstFlow(h)},
			fmt.Sprintf("%s waits for %s without a timeout", l.where(n, h), l.t.Short(farOf(s))),
			"declare a timeout, or expect it to wait as long as a black hole lasts")
	}
}

func farOf(s *Step) string {
	if s.Kind == Request {
		return ChannelNode(s.Target)
	}
	return s.Target
}
