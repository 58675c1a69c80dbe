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
// Definition: over the messages meant to be sent from the fault's injection to its heal and a grace
// time of 2 s, each flow outside the declared blast radius keeps its SLO, completes no smaller a
// share than in its own steady phase (1 % tolerance) and has a p99 of at most 5 times its own
// steady p99 and one second. Declared, predicted (from the graph) and measured (the flows whose SLO
// broke) blast radius stand side by side in the summary.
//
// Evidence: Fault rows, Produce rows and arrivals. Valid: the fault bit, each flow outside had
// enough messages for its SLO (99.9 % needs 1,000, a p99 needs 100, or 20 that
// are all within it), and none was hurt. Invalid: one was
// (leaked). Unknown: the fault was not injected or did not bite, too few messages outside, latency
// over its bound, or failures, while the harness itself was delayed, no messages, or events were shed.
//
// It cannot tell a flow that the fault hurt from one hurt by something else at the same time. Cost:
// two passes over the rows of each flow. Source: bulkheads as containment, Nygard, Release It!.
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
		if !known && len(spans) > 0 {
			r.lack("a blast_radius: the graph predicts none for a fault without a wire or node")
		}
	}
	outside := 0
	if len(spans) > 0 {
		w := Window{spans[0].From, spans[len(spans)-1].To + c.p.Grace}
		for _, s := range spans {
			w.To = max(w.To, s.To+c.p.Grace)
		}
		for _, f := range c.ledger.flows {
			in := slices.Contains(declared, f.name)
			if c.flow(f, w, in, &r) && !in {
				outside++
			}
		}
		if outside == 0 && len(r.lacks) == 0 {
			r.lack("load on a flow outside the blast radius")
		}
	}
	r.count("flows_outside", outside, "flows")
	return r.verdict("blast radius declared %s, predicted %s, measured %s",
		listed(declared, true), listed(predicted, known), listed(c.measured,
			true))
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

// flow judges one flow and says whether it had any messages in the window. Inside the blast radius
// it only measures.
func (c *isolation) flow(f *flowLedger, w Window, inside bool, r *ruling) (loaded bool) {
	var scratch ruling
	out := r
	if inside {
		out = &scratch
	}
	before := out.found()
	steady, hasSteady := c.ledger.steady()
	for j := range f.route.legs {
		s := f.measure(j, w)
		if s.offered == 0 {
			if hasSteady && f.sentIn(steady) && !inside && f.derivedFrom() == "" {
				r.lack("messages of flow %s while the fault is in force", f.name)
			}
			continue
		}
		loaded = true
		broken, lacks := s.breaches()
		if hasSteady {
			own := f.measure(j, steady)
			broken = append(broken, c.drift(&own, &s, f, w)...)
		}
		c.report(f, &s, broken, w, out)
		if len(broken) == 0 {
			for _, l := range lacks {
				out.lack("%s (flow %s)", l, f.name)
			}
		}
	}
	if out.found() > before {
		c.measured = append(c.measured, f.name)
	}
	return loaded
}

func (f *flowLedger) derivedFrom() string { return f.route.flow.DerivedFrom }

// sentIn says whether the flow had messages in a window.
func (f *flowLedger) sentIn(w Window) bool {
	for i := range f.size {
		m := f.rows.get(i)
		if m.flags&begun != 0 && m.sent >= int64(w.From) && m.sent < int64(w.To) {
			return true
		}
	}
	return false
}

// drift compares a flow with its own steady state.
func (c *isolation) drift(own, s *sample, f *flowLedger, w Window) (broken []breach) {
	if own.offered < leastCompared || s.offered < leastCompared {
		return nil
	}
	least := own.share() - c.p.Tolerance
	if s.share() < least && s.offered-s.completed > 1 {
		broken = append(broken, breach{kind: "failed", message: s.first, lives: s.lives,
			granted: max(1, granted(least, s.offered)),
			text: fmt.Sprintf("%.1f %% reached %s, in its steady state %.1f %%",
				s.share()*100, s.leg.name(), own.share()*100)})
	}
	bound := time.Duration(c.p.Slower*float64(own.quantile(0.99))) + slowerAnyway
	over, first := f.slower(s, w, bound)
	if own.quantile(0.99) > 0 && float64(over) > max(1, math.Ceil(0.01*float64(len(s.timed)))) {
		broken = append(broken, breach{kind: "late", message: first, latency: true,
			excess: s.quantile(0.99) - bound,
			text: fmt.Sprintf("p99 to %s was %v, in its steady state %v",
				s.leg.name(), s.quantile(0.99), own.quantile(0.99))})
	}
	return broken
}

// slower counts the arrivals of a sample beyond a bound and gives the first of them.
func (f *flowLedger) slower(s *sample, w Window, bound time.Duration) (n int, first int64) {
	first = -1
	for _, t := range s.timed {
		if time.Duration(t)*time.Microsecond > bound {
			n++
		}
	}
	if n == 0 {
		return 0, -1
	}
	j := slices.Index(f.route.legs, s.leg)
	for i := range f.size {
		m, lr := f.rows.get(i), f.legRows[j].get(i)
		if m.flags&begun != 0 && m.sent >= int64(w.From) && m.sent < int64(w.To) &&
			lr.state&arrived != 0 && time.Duration(lr.after)*time.Microsecond > bound {
			return n, i
		}
	}
	return n, first
}

// report turns what is broken into anomalies, at most one for each leg and way.
func (c *isolation) report(f *flowLedger, s *sample, broken []breach, w Window, r *ruling) {
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
		r.anomaly(Anomaly{Kind: "leaked", Flow: f.name, Message: b.message, Where: s.leg.name(),
			Text: fmt.Sprintf("%s was hurt by %s: %s", f.name, c.p.During, b.text)})
	}
}
