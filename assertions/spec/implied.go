package spec

import (
	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/topology"
)

// Implied are the assertions that a topology makes without a word: for each flow under load
// delivery, its slo, trace and (where it has a key) order; load, steady and conservation; that every
// fault touched something; and every policy that is declared: retry, a fleet's reconnect, dead_letter,
// breaker, bulkhead, ttl.
func Implied(t *topology.Topology, loaded, faults []string) []Assertion {
	names := Of(t, faults, loaded)
	all := []assertions.Check{assertions.Steady(), assertions.Load()}
	if len(faults) > 0 {
		all = append(all, assertions.Faults(faults...))
	}
	for _, flow := range names.Loaded() {
		all = append(all, assertions.Delivery(flow))
		f := t.Flow(flow)
		if assertions.HasSLO(f) {
			all = append(all, assertions.SLO(flow))
		}
		if f.Key != "" && len(f.Sinks) > 0 {
			all = append(all, assertions.Order(flow))
		}
		if len(f.Sinks) > 0 {
			all = append(all, assertions.Trace(flow))
		}
	}
	all = append(all, assertions.Conservation())
	for _, ref := range names.DeadLetters() {
		all = append(all, deadLetterWord().checks(args{channel: ref, count: -1}, names)...)
	}
	for _, n := range t.Nodes {
		if n.Kind == topology.Fleet && n.Session.Reconnect.Initial > 0 && keepsConnections(t, n.Name) {
			all = append(all, placed(assertions.Reconnects(n.Name), args{node: n.Name,
				handler: "reconnect"}, names)...)
		}
		for _, h := range n.Handlers {
			all = append(all, handlerChecks(t, args{node: n.Name, handler: h.Name}, h, names)...)
		}
	}
	out := make([]Assertion, len(all))
	for i, c := range all {
		out[i] = Assertion{Check: c}
	}
	return out
}

// keepsConnections says whether a node has sessions with a broker, which may be lost.
func keepsConnections(t *topology.Topology, node string) bool {
	for _, w := range t.Wires() {
		if w.From == node && t.Node(w.To) != nil && t.Node(w.To).Kind == topology.Broker {
			return true
		}
	}
	return false
}

// handlerChecks are the policies that a handler and its steps declare.
func handlerChecks(t *topology.Topology, a args, h *topology.Handler,
	names Names) []assertions.Check {
	var all []assertions.Check
	retries := h.Policy.Retry != nil
	for s := range h.Steps() {
		retries = retries || s.Policy.Retry != nil
	}
	if retries {
		all = append(all, retryWord().checks(a, names)...)
	}
	if assertions.TTLOf(t, h) > 0 {
		all = append(all, ttlWord().checks(a, names)...)
	}
	if h.Policy.Breaker != nil {
		all = append(all, breakerWord().checks(a, names)...)
	}
	if h.Policy.Bulkhead != nil {
		all = append(all, bulkheadWord().checks(a, names)...)
	}
	for s := range h.Steps() {
		a.step = s.Name
		if s.Policy.Breaker != nil {
			all = append(all, breakerWord().checks(a, names)...)
		}
		if s.Policy.Bulkhead != nil {
			all = append(all, bulkheadWord().checks(a, names)...)
		}
	}
	return all
}
