package topology

import (
	"fmt"
	"slices"
	"strings"
)

// patientRetry: many tries without a breaker keep a service that is down under load; tries without
// a pause hit it all at once.
func (l *linter) patientRetry(n *Node, h *Handler, s *Step) {
	r := s.Policy.Retry
	if r == nil || s.Policy.Breaker != nil || n.Kind == Cloud {
		return
	}
	a := about{node: n, flow: l.firstFlow(h)}
	switch {
	case r.Attempts > PatientRetry:
		l.add("retry-without-breaker", SeverityWarning, a,
			fmt.Sprintf("%s tries %s up to %d times without a breaker", l.where(n, h), s.Name, r.Attempts),
			fmt.Sprintf("declare a breaker, or at most %d attempts", PatientRetry))
	case r.Attempts > 1 && r.Backoff.Initial == 0:
		l.add("retry-without-pause", SeverityWarning, a,
			fmt.Sprintf("%s tries %s again at once, %d times in all", l.where(n, h), s.Name, r.Attempts),
			"declare a backoff")
	}
}

// retryProduct: tries multiply along a path. Only the last step of a path is reported.
func (l *linter) retryProduct(n *Node, h *Handler, s *Step) {
	if s.FarNode() == "" || l.continues(s) {
		return
	}
	factors, product := l.factors(n, h, s, nil)
	if product > RetryBudget {
		l.add("retry-product", SeverityWarning, about{node: n, flow: l.firstFlow(h)},
			fmt.Sprintf("one message can cause %d tries at %s: %s", product,
				l.t.Short(s.FarNode()), strings.Join(factors, " × ")),
			fmt.Sprintf("stay within %d: retry at one layer only", RetryBudget))
	}
}

// continues says that the one called goes on over the network, so that the path does not end here.
func (l *linter) continues(s *Step) bool {
	if s.Kind != Call {
		return false
	}
	far := l.t.answering(s.Target, s.Method, s.Path)
	if far == nil || far.Ack == "before_work" {
		return false
	}
	for next := range far.Steps() {
		if next.FarNode() != "" {
			return true
		}
	}
	return false
}

// factors multiplies the tries of a step with those of all that synchronously lead to it, along the
// way with the most of them.
func (l *linter) factors(n *Node, h *Handler, s *Step, above []*Handler) ([]string, int) {
	var texts []string
	product := 1
	put := func(tries int, what string) {
		if tries > 1 {
			texts = append(texts, fmt.Sprintf("%d (%s)", tries, what))
			product *= tries
		}
	}
	before, most := l.callers(n, h, append(above, h))
	texts, product = append(texts, before...), product*most
	switch dl, r := h.Policy.DeadLetter, h.Policy.Retry; {
	case dl != nil && dl.Attempts > 0: // these are the handler's attempts, whatever retry says
		put(dl.Attempts, l.where(n, h)+" attempts")
	case r != nil:
		put(r.Attempts, l.where(n, h))
	}
	if r := s.Policy.Retry; r != nil {
		put(r.Attempts, l.t.Short(n.Name)+" "+s.Name)
	}
	return texts, product
}

// callers is the way to a handler on which tries multiply most.
func (l *linter) callers(to *Node, h *Handler, above []*Handler) ([]string, int) {
	var texts []string
	most := 1
	if h.Ack == "before_work" {
		return nil, 1
	}
	for _, n := range l.t.Nodes {
		for _, s := range n.Sends {
			if node, method, path := s.HTTP(); node == to.Name && h.Answers(method, path) &&
				s.Policy.Retry != nil && s.Policy.Retry.Attempts > most {
				most = s.Policy.Retry.Attempts
				texts = []string{fmt.Sprintf("%d (%s %s)", most, l.t.Short(n.Name), s.Flow)}
			}
		}
		for _, caller := range n.Handlers {
			for s := range caller.Steps() {
				calls := s.Kind == Call && s.Target == to.Name && h.Answers(s.Method, s.Path)
				if !calls || slices.Contains(above, caller) {
					continue
				}
				if t, product := l.factors(n, caller, s, above); product > most {
					texts, most = t, product
				}
			}
		}
	}
	return texts, most
}
