package assertions

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
)

// Check is one assertion to be judged: what it is called, and how its checker is made. Values are
// made by Delivery, Order, Retry and their kin; the assertions of a file come from package spec.
type Check struct {
	Name     string // as the user wrote it: "delivery[telemetry]"
	Property string // "delivery"
	Flow     string // "" for the whole system
	// Node is the node whose inside is judged, "" where it is what stands between nodes.
	Node string
	New  func(*Ledger, Context) Checker
}

// Context is what a judge knows beside the history. Only Topology is needed.
type Context struct {
	Topology *topology.Topology // the promise, not as built
	// Asked is the number of messages the plan asks of each flow; where it is nil, gauges "asked"
	// in the history are believed.
	Asked map[string]int64
	// Engines says what stands behind each broker and store, by node: "kafka: kfake (imitation)".
	Engines map[string]string
	// Predicted is the blast radius that the graph predicts for each fault, by the fault's name.
	Predicted map[string][]string
	// Blast is what each fault may hurt, by its name: what isolation assertions grant. A fault without an
	// entry may hurt nothing.
	Blast map[string]Blast
}

// Blast is the blast radius of one fault: the flows that it may hurt, each with how long after the
// heal it may still be hurt.
type Blast struct{ Flows map[string]time.Duration }

// Selective is a checker that looks at some kinds of events only; others are not shown to it.
type Selective interface {
	Checker
	Kinds() []history.Kind
}

// Most is how many anomalies a verdict shows; MostEvents how many events an anomaly shows.
const (
	Most       = 10
	MostEvents = 20
)

// Judge reads a history once and gives one verdict for each check, in their order. Events must be
// in time order and may be reused by the iterator. When there are anomalies the history is read
// once more, for their events, so the iterator must be able to start again. It never panics.
func Judge(events iter.Seq[*history.Event], checks []Check, c Context) []Verdict {
	verdicts, _ := JudgeWithLedger(events, checks, c)
	return verdicts
}

// JudgeWithLedger is Judge, and the account that the verdicts stand on.
func JudgeWithLedger(
	events iter.Seq[*history.Event], checks []Check, c Context,
) ([]Verdict, *Ledger) {
	court := newCourt(checks, c)
	for e := range events {
		court.observe(e)
	}
	verdicts := court.verdicts()
	if slices.ContainsFunc(checks, func(c Check) bool { return c.Property == "steady" }) {
		unsettle(verdicts)
	}
	attachEvidence(events, verdicts)
	return verdicts, court.ledger
}

// seat is one checker at work. Broken says why it is no longer listened to.
type seat struct {
	check   Check
	checker Checker
	broken  string
}

// court is the ledger, which sees each event first, and the checkers, by the kinds they look at.
type court struct {
	context Context
	ledger  *Ledger
	broken  string
	seats   []*seat
	byKind  [int(history.Ended) + 1][]*seat
}

func newCourt(checks []Check, c Context) *court {
	if c.Topology == nil {
		c.Topology = &topology.Topology{}
	}
	t := &court{context: c, ledger: NewLedger(c.Topology)}
	for _, check := range checks {
		s := &seat{check: check}
		s.guard(func() { s.checker = check.New(t.ledger, c) })
		t.seats = append(t.seats, s)
		t.route(s)
	}
	return t
}

// route puts a checker on the lists of the kinds it wants.
func (t *court) route(s *seat) {
	selective, ok := s.checker.(Selective)
	if ok {
		for _, kind := range selective.Kinds() {
			t.byKind[kind] = append(t.byKind[kind], s)
		}
		return
	}
	for kind := range t.byKind {
		t.byKind[kind] = append(t.byKind[kind], s)
	}
}

// guard runs a checker's code; a panic makes the checker broken instead of the program.
func (s *seat) guard(do func()) {
	defer s.caught()
	do()
}

func (s *seat) caught() {
	if r := recover(); r != nil {
		s.broken = fmt.Sprint(r)
	}
}

func (s *seat) observe(e *history.Event) {
	defer s.caught()
	if s.broken == "" {
		s.checker.Observe(e)
	}
}

func (t *court) observe(e *history.Event) {
	t.post(e)
	if t.broken != "" || int(e.Kind) >= len(t.byKind) {
		return
	}
	for _, s := range t.byKind[e.Kind] {
		s.observe(e)
	}
}

func (t *court) post(e *history.Event) {
	defer func() {
		if r := recover(); r != nil {
			t.broken = fmt.Sprint(r)
		}
	}()
	if t.broken == "" {
		t.ledger.Observe(e)
	}
}

func (t *court) verdicts() []Verdict {
	var out []Verdict
	for _, s := range t.seats {
		v := t.verdict(s)
		out = append(out, v)
	}
	return out
}

func (t *court) verdict(s *seat) (v Verdict) {
	if t.broken != "" {
		s.broken = t.broken
	}
	if s.broken == "" {
		s.guard(func() { v = s.checker.Verdict() })
	}
	if s.broken != "" {
		v = Verdict{Value: Unknown, Summary: "the checker crashed: " + s.broken,
			Unknown: "a checker that does not crash on this history: please report it"}
	}
	if v.Value == Untested && !t.ledger.messages() {
		v = Verdict{Value: Unknown, Summary: v.Summary, Unknown: "messages: the history has none"}
	}
	if t.ledger.unseen(s.check.Node) {
		v = Verdict{Value: Unknown, Summary: v.Summary, Unknown: insideOf(s.check.Node)}
	}
	v.Name, v.Property = s.check.Name, s.check.Property
	v.Flow = cmp.Or(v.Flow, s.check.Flow)
	v.Engines = t.engines(v.Flow)
	return v
}

// engines is what a verdict on a flow, or on the whole system, stands on.
func (t *court) engines(flow string) []string {
	var lines []string
	for node, line := range t.context.Engines {
		if flow == "" || t.ledger.routes.touches(flow, node) {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// attachEvidence reads the history again for the events of every anomaly that is shown and brought
// none of its own.
func attachEvidence(events iter.Seq[*history.Event], verdicts []Verdict) {
	wanted := map[subject][]*Anomaly{}
	for i := range verdicts {
		for j := range verdicts[i].Anomalies {
			a := &verdicts[i].Anomalies[j]
			if a.Message >= 0 && len(a.Events) == 0 {
				k := subject{a.Flow, a.Message}
				wanted[k] = append(wanted[k], a)
			}
		}
	}
	if len(wanted) == 0 {
		return
	}
	for e := range events {
		if e.Message < 0 {
			continue
		}
		for _, a := range wanted[subject{e.Flow, e.Message}] {
			if len(a.Events) < MostEvents {
				a.Events = append(a.Events, *e)
			}
		}
	}
}
