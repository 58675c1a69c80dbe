package topology

import (
	"fmt"
	"slices"
	"strings"

	"github.com/faultline-sim/faultline/topology/diag"
)

// Severity says how much a finding matters.
type Severity string

// The severities.
const (
	SeverityFault   Severity = "fault"   // a promise of the topology cannot be kept as declared
	SeverityWarning Severity = "warning" // it is kept, but at a price that is easily overlooked
	SeverityInfo    Severity = "info"    // worth knowing before a fault is injected
)

// Finding is one weakness of a design, found without running it.
type Finding struct {
	Code     string // hyphenated words, one for each kind of weakness
	Severity Severity
	Node     string        // full name, "" when no node is meant
	Flow     string        // "" when no single flow is meant
	Text     string        // lower case, without a full stop
	Hint     string        // what to do about it
	At       diag.Position // where the file declares what is meant; no line when that is not known
}

// String is "file:line:column: text; hint [code]", as diagnostics are printed.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s; %s [%s]", f.At, f.Text, f.Hint, f.Code)
}

// RetryBudget is how many tries one message may cause at the end of a path before lint objects.
const RetryBudget = 25

// PatientRetry is the number of tries of one step above which lint asks for a breaker.
const PatientRetry = 10

// Lint finds design faults before any run, faults first, then in the topology's order. It reads
// only what is declared: the same topology always gives the same findings.
func (t *Topology) Lint() []Finding {
	l := &linter{t: t, flows: map[*Handler][]*Flow{}}
	for _, n := range t.Nodes {
		for _, h := range n.Handlers {
			for _, name := range t.HandlerFlows(n, h) {
				l.flows[h] = append(l.flows[h], t.Flow(name))
			}
		}
	}
	for _, n := range t.Nodes {
		l.node(n)
	}
	for _, c := range t.Channels {
		l.channel(c)
	}
	for _, f := range t.Flows {
		l.replyChain(f)
	}
	slices.SortStableFunc(l.found, func(a, b Finding) int { return rank(a) - rank(b) })
	return slices.Compact(l.found)
}

func rank(f Finding) int {
	return slices.Index([]Severity{SeverityFault, SeverityWarning, SeverityInfo}, f.Severity)
}

// linter gathers findings; each check is one method.
type linter struct {
	t     *Topology
	flows map[*Handler][]*Flow // whose messages a handler gets
	found []Finding
}

func (l *linter) node(n *Node) {
	l.singlePoint(n)
	l.cluster(n)
	for _, s := range n.Sends {
		l.quality(n, s)
	}
	for _, h := range n.Handlers {
		l.deadLetter(n, h)
		l.ackBeforeWork(n, h)
		l.cleanSession(n, h)
		l.parallelConsumers(n, h)
		l.shortTTL(n, h)
		for s := range h.Steps() {
			l.idempotent(n, h, s)
			l.impatientCaller(n, h, s)
			l.patientRetry(n, h, s)
			l.longBreaker(n, h, s)
			l.noTimeout(n, h, s)
			l.retryProduct(n, h, s)
		}
	}
}

func (l *linter) channel(c *Channel) {
	l.unused(c)
	l.mapping(c)
}

// about is where and what a finding is about.
type about struct {
	node *Node
	flow *Flow
	at   diag.Position // "" takes the node's, then the flow's
}

// add keeps a finding; hint tells what to do.
func (l *linter) add(code string, s Severity, a about, text, hint string) {
	f := Finding{Code: code, Severity: s, Text: text, Hint: hint, At: a.at}
	if a.flow != nil {
		f.Flow = a.flow.Name
		f.At = firstKnown(f.At, a.flow.At)
	}
	if a.node != nil {
		f.Node = a.node.Name
		f.At = firstKnown(a.at, a.node.At, f.At)
	}
	f.At = firstKnown(f.At, diag.Position{File: l.t.File})
	l.found = append(l.found, f)
}

func firstKnown(positions ...diag.Position) diag.Position {
	for _, p := range positions {
		if p != (diag.Position{}) {
			return p
		}
	}
	return diag.Position{}
}

// promising are the flows of a handler that promise each message's arrival.
func (l *linter) promising(h *Handler) []*Flow {
	var kept []*Flow
	for _, f := range l.flows[h] {
		if f.Guarantee != AtMostOnce {
			kept = append(kept, f)
		}
	}
	return kept
}

// ours says that a message of the flow is ours not to lose when it is at a node.
func (l *linter) ours(f *Flow, n *Node) bool {
	if n.Kind == Cloud {
		return false
	}
	if f.AcceptedAt == "" {
		return true
	}
	for _, path := range f.Paths {
		accepted := slices.IndexFunc(path, func(h Hop) bool { return h.Node == f.AcceptedAt })
		here := slices.IndexFunc(path, func(h Hop) bool { return h.Node == n.Name })
		if here >= 0 && accepted >= 0 && here < accepted {
			return false
		}
	}
	return true
}

// where is how a finding names a handler: "worker1 records".
func (l *linter) where(n *Node, h *Handler) string { return l.t.Short(n.Name) + " " + h.Name }

func flowNames(flows []*Flow) string {
	names := make([]string, len(flows))
	for i, f := range flows {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}
