package assertions

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
)

// IsolationParams are what an isolation assertion says.
type IsolationParams struct {
	Name        string   // "" is "isolation[<fault>]"
	During      string   // the fault
	BlastRadius []string // flows that the fault may hurt
	// Flows are the flows that are judged, whatever the graph predicts of them; none are all outside
	// the blast radius. What befell the others is measured only, and too little load on them is no
	// lack.
	Flows []string
	// Predicted takes the blast radius from the graph instead of BlastRadius.
	Predicted bool
	Grace     time.Duration // after the heal; 0 is DefaultGrace
	// Tolerance is how much of its completed share a flow may lose against its own steady state; 0
	// is DefaultTolerance of shares, 1 %.
	Tolerance float64
	// Slower is how many times its own steady p99 a flow may take, one second more in any case; 0 is
	// DefaultSlower.
	Slower float64
}

// Defaults of an isolation assertion.
const (
	DefaultGrace  = 2 * time.Second
	DefaultShare  = 0.01
	DefaultSlower = 5.0
	slowerAnyway  = time.Second
)

// Isolation judges that a fault hurts no flow beyond its declared blast radius.
//
// Definition: over the messages due from the fault's injection to its heal and a grace time of 2 s,
// each flow that is judged keeps its SLO, completes no smaller a share than in its own steady phase
// (1 % tolerance) and has a p99 of at most 5 times its own steady p99 and one second. A derived
// message is due when its parent is, and counts from there beside its steady state; a derived flow is
// owed as many births of its parents as in its steady phase, but for what chance explains once in a
// million times. All flows outside the declared blast radius are judged, or those that are named.
// Declared, predicted (from the graph) and measured (the flows that were hurt) blast radius stand
// side by side in the summary.
//
// Evidence: Fault rows, Produce and Derive rows, arrivals. Valid: the fault bit, each flow that is
// judged had enough messages for its SLO (99.9 % needs 1,000, a p99 needs 100, or 20 that are all
// within it), without an SLO for a comparison with its steady phase (20 in each; 20 that all do well
// need none), and if derived for the lack of all births to be noticed; and none was hurt. Invalid:
// one was (leaked); fewer than 20 messages show it only where chance would not do as much once in ten
// thousand times. Untested: there was no load outside. Unknown: the fault was not injected or did not bite, a flow has too few messages (the
// lack names it), latency over its bound, or failures, while the harness itself was delayed, no
// messages, or events were shed.
//
// It cannot tell a flow that the fault hurt from one hurt by something else at the same time. Cost:
// a few passes over the rows of each flow. Source: bulkheads as containment, Nygard, Release It!;
// Fisher's exact test.
func Isolation(p IsolationParams) Check {
	if p.Name == "" {
		p.Name = named("isolation", p.During)
	}
	return Check{Name: p.Name, Property: "isolation",
		New: func(l *Ledger, c Context) Checker {
			return &isolation{ledger: l, p: p.filled(),
				context: c}
		}}
}

func (p IsolationParams) filled() IsolationParams {
	if p.Grace == 0 {
		p.Grace = DefaultGrace
	}
	if p.Tolerance == 0 {
		p.Tolerance = DefaultShare
	}
	if p.Slower == 0 {
		p.Slower = DefaultSlower
	}
	return p
}

type isolation struct {
	ledger   *Ledger
	p        IsolationParams
	context  Context
	measured []string
}

func (c *isolation) Kinds() []history.Kind  { return nil }
func (c *isolation) Observe(*history.Event) {}

func (c *isolation) Verdict() Verdict {
	var r ruling
	r.sound(c.ledger)
	spans := c.ledger.bitten(c.p.During, &r)
	declared := c.p.BlastRadius
	predicted, known := c.predicted(spans)
	if c.p.Predicted {
		declared = predicted
		if !known && len(spans) > 0 && len(c.p.Flows) == 0 {
			r.lack("a blast_radius: the graph predicts none for a fault without a wire or node")
		}
	}
	judged := 0
	if len(spans) > 0 {
		w := c.window(spans)
		for _, f := range c.ledger.flows {
			ask := c.asks(f, declared)
			if c.flow(f, w, ask, &r) && ask {
				judged++
			}
		}
		if judged == 0 && len(r.lacks) == 0 {
			r.trial("load on a flow outside the blast radius")
		}
	}
	r.count("flows_outside", judged, "flows")
	return r.verdict("blast radius declared %s, predicted %s, measured %s",
		listed(declared, true), listed(predicted, known), listed(c.measured,
			true))
}

// window is from the first injection to the last heal and the grace time.
func (c *isolation) window(spans []FaultSpan) Window {
	w := Window{From: spans[0].From}
	for _, s := range spans {
		w.To = max(w.To, s.To+c.p.Grace)
	}
	return w
}

// asks says whether a flow is judged, not only measured.
func (c *isolation) asks(f *flowLedger, declared []string) bool {
	if len(c.p.Flows) > 0 {
		return slices.Contains(c.p.Flows, f.name) && !slices.Contains(c.p.BlastRadius, f.name)
	}
	return !slices.Contains(declared, f.name)
}

// predicted is the blast radius that the graph gives for the fault: the runner's, else one from the
// wires and nodes that the history names.
func (c *isolation) predicted(spans []FaultSpan) (flows []string, known bool) {
	if flows, known = c.context.Predicted[c.p.During]; known {
		return flows, true
	}
	var nodes []string
	var wires []topology.Wire
	for _, s := range spans {
		if from, to := c.ledger.routes.wire(s.Wire); to != "" {
			wires = append(wires, topology.Wire{From: from, To: to})
		} else if s.Node != "" {
			nodes = append(nodes, s.Node)
		}
	}
	if len(nodes)+len(wires) == 0 {
		return nil, false
	}
	return c.context.Topology.Predict(nodes, wires), true
}

// bitten are the injections of a fault; a lack is noted when there are none or none bit.
func (l *Ledger) bitten(name string, r *ruling) []FaultSpan {
	spans, bite, healed := l.faultNamed(name)
	switch {
	case len(spans) == 0:
		r.lack("the fault %q: the history has no injection of it", name)
	case bite == 0:
		r.doubt("a fault that bites: %q touched no message of any flow", name)
	case !healed:
		r.lack("a heal of the fault %q", name)
	}
	r.figure("bite", float64(bite), "messages")
	return spans
}

func listed(flows []string, known bool) string {
	switch {
	case !known:
		return "unknown"
	case len(flows) == 0:
		return "none"
	}
	return strings.Join(slices.Sorted(slices.Values(flows)), "+")
}

// flow judges one flow and says whether it had any messages in the window. One that nobody asks
// about is only measured.
func (c *isolation) flow(f *flowLedger, w Window, ask bool, r *ruling) (loaded bool) {
	var scratch ruling
	if !ask {
		r = &scratch
	}
	before := r.found()
	if f.begun > 0 || slices.Contains(c.p.Flows, f.name) {
		loaded = len(f.dueIn(w)) > 0
		owed := c.births(f, w, r)
		if !loaded && !owed {
			r.lack("messages of flow %s while the fault is in force", f.name)
		}
	}
	for j := range f.route.legs {
		if loaded {
			c.leg(f, j, w, r)
		}
	}
	if loaded && len(f.route.legs) == 0 {
		r.lack("a sink or a reply to judge flow %s by", f.name)
	}
	if r.found() > before {
		c.measured = append(c.measured, f.name)
	}
	return loaded
}

// leg judges one leg of a flow with messages in the window.
func (c *isolation) leg(f *flowLedger, j int, w Window, r *ruling) {
	s := f.measure(j, w)
	if s.offered == 0 {
		r.lack("messages of flow %s that do not end before %s, while the fault is in force", f.name,
			s.leg.name())
		return
	}
	var own sample
	if steady, ok := c.ledger.steady(); ok {
		own = f.measure(j, steady)
	}
	broken, lacks := s.breaches()
	for _, compare := range []func(own, s *sample) (*breach, string){c.shares, c.latencies} {
		b, lack := compare(&own, &s)
		if b != nil {
			broken = append(broken, *b)
		}
		if lack != "" {
			lacks = append(lacks, lack)
		}
	}
	for i := range broken {
		if broken[i].message < 0 {
			broken[i].message = f.firstLater(j, w, own.slower(c.p.Slower))
		}
	}
	c.report(f, s.leg.name(), broken, w, r)
	if len(broken) == 0 {
		for _, l := range lacks {
			r.lack("%s (flow %s)", l, f.name)
		}
	}
}

func (f *flowLedger) derivedFrom() string { return f.route.flow.DerivedFrom }

// births judges that a derived flow had those that it is owed, and says whether it is owed any, so
// that there being none has been dealt with.
func (c *isolation) births(f *flowLedger, w Window, r *ruling) (owed bool) {
	span, _ := c.ledger.steady()
	steady := c.ledger.births(f, span)
	now, scarce := c.ledger.scarcest(f, w, steady)
	switch {
	case steady.owed(now.parents) == 0:
		return false
	case scarce:
		c.report(f, "", []breach{{kind: "failed", message: -1, text: fmt.Sprintf(
			"%d were born of %d messages of %s, in its steady state %d of %d", now.born, now.parents,
			f.derivedFrom(), steady.born, steady.parents)}}, w, r)
	case !now.telling(steady):
		r.lack("births enough to miss them (flow %s): there were %d of %d messages of %s, in its "+
			"steady state %d of %d", f.name, now.born, now.parents, f.derivedFrom(), steady.born,
			steady.parents)
	}
	return true
}

// shares compares the completed share with that of the flow's own steady state.
func (c *isolation) shares(own, s *sample) (*breach, string) {
	least, failed := own.share()-c.p.Tolerance, s.offered-s.completed
	few := own.offered < leastCompared || s.offered < leastCompared
	b := &breach{kind: "failed", message: s.first, lives: s.lives,
		granted: max(1, granted(least, s.offered)),
		text: fmt.Sprintf("%.1f %% reached %s, in its steady state %.1f %%",
			s.share()*100, s.leg.name(), own.share()*100)}
	switch {
	case !few && s.share() < least && failed > 1,
		few && worse(failed, s.offered, own.offered-own.completed, own.offered) < improbable:
		return b, ""
	case failed == 0 && s.offered >= leastCompared: // no share is larger
	case few && s.leg.success == 0:
		return nil, tooFew("the share that reaches "+s.leg.name(), own.offered, s.offered)
	}
	return nil, ""
}

// latencies compares the p99 with that of the flow's own steady state.
func (c *isolation) latencies(own, s *sample) (*breach, string) {
	bound := own.slower(c.p.Slower)
	few := len(own.timed) < leastCompared || len(s.timed) < leastCompared
	over := later(s.whole, bound)
	b := &breach{kind: "late", message: -1, latency: true, excess: quantile(s.whole, 0.99) - bound,
		text: fmt.Sprintf("p99 to %s was %v, in its steady state %v", s.leg.name(),
			quantile(s.whole, 0.99), quantile(own.whole, 0.99))}
	switch {
	case bound > 0 && !few && float64(over) > max(1, math.Ceil(0.01*float64(len(s.timed)))),
		bound > 0 && few && worse(over, len(s.timed), later(own.whole, bound),
			len(own.timed)) < improbable:
		return b, ""
	case bound > 0 && over == 0 && len(s.timed) >= leastCompared:
	case few && s.leg.p99 == 0 && s.leg.p50 == 0:
		return nil, tooFew("latencies to "+s.leg.name(), len(own.timed), len(s.timed))
	}
	return nil, ""
}

func tooFew(what string, steady, now int) string {
	return fmt.Sprintf("%d messages in the steady phase and as many while the fault is in force to "+
		"compare %s on, there were %d and %d", leastCompared, what, steady, now)
}

// later counts the latencies, sorted, beyond a bound.
func later(sorted []uint32, bound time.Duration) (n int) {
	for i := len(sorted) - 1; i >= 0 && time.Duration(sorted[i])*time.Microsecond > bound; i-- {
		n++
	}
	return n
}

// firstLater is the first message due in a window that took longer than a bound; −1 for none.
func (f *flowLedger) firstLater(j int, w Window, bound time.Duration) int64 {
	for i := range f.size {
		m, lr := f.rows.get(i), f.legRows[j].get(i)
		due := f.due(i, &m)
		if m.flags&begun != 0 && w.has(due) && lr.state&arrived != 0 &&
			time.Duration(m.sent-due)+time.Duration(lr.after)*time.Microsecond > bound {
			return i
		}
	}
	return -1
}

// report turns what is broken into anomalies, at most one for each leg and way.
func (c *isolation) report(f *flowLedger, where string, broken []breach, w Window, r *ruling) {
	told := map[string]bool{}
	for _, b := range broken {
		if delay, excused := c.ledger.excuses(w, b); excused {
			// A lack, no doubt: another breach that nothing excuses is still one.
			r.lack("a quieter machine: %s of flow %s while the harness was delayed by %v",
				b.text, f.name, delay.Round(time.Millisecond))
			continue
		}
		if told[b.kind] {
			continue
		}
		told[b.kind] = true
		r.anomaly(Anomaly{Kind: "leaked", Flow: f.name, Message: b.message, Where: where,
			Text: fmt.Sprintf("%s was hurt by %s: %s", f.name, c.p.During, b.text)})
	}
}
