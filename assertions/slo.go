package assertions

import (
	"fmt"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
)

// SLO judges that a flow keeps what it promises of shares and latencies over the whole run.
//
// Definition: over all messages of the flow that no fault may hurt, each sink's success share, p50
// and p99, and the reply within its time, hold. A fault may hurt what an isolation assertion grants it:
// a message whose flow lies in its blast radius (the declared one, else what the graph predicts) and
// that was meant to be sent while the fault was in force, in its grace time after the heal (2 s, or as
// long as the flow may take to recover), or so short before it that the promised p99 (a second where
// none is promised) reaches into it. A fault without an isolation assertion may hurt nothing: the SLO is
// promised in spite of it. A message that was dead-lettered for its schema, or for a status that the
// promise declares permanent, was answered: it stands aside. A request without an answer breaks
// reply_within as a late one does. A flow that promises at-most-once is held to its share too, and
// nothing arriving at all is never valid.
//
// Evidence: Produce and Derive rows, arrivals and Found rows, Fault rows. Valid: there were enough
// messages for each objective, and all hold. Invalid: one does not (failed, late). Untested: there
// were too few messages to judge one, and it was not broken. Unknown: no messages, no end, events were shed,
// a breach while the harness itself was delayed, or messages that were still on their way when the drain
// ended.
//
// It cannot tell which fault broke what, only that nothing allowed it. Cost: one pass over the rows
// for each sink. Source: Google SRE book, Service Level Objectives.
func SLO(flow string) Check {
	return Check{Name: named("slo", flow), Property: "slo", Flow: flow,
		New: func(l *Ledger, c Context) Checker { return &slo{ledger: l, context: c, flow: flow} }}
}

// HasSLO says whether a flow promises a share or a latency.
func HasSLO(f *topology.Flow) bool {
	for _, s := range f.Sinks {
		if s.Success > 0 || s.P50 > 0 || s.P99 > 0 {
			return true
		}
	}
	return f.ReplyWithin > 0
}

// underWay is how long before a fault a message may have been sent and still be hurt by it, where no
// p99 says so.
const underWay = time.Second

type slo struct {
	ledger  *Ledger
	context Context
	flow    string
}

func (c *slo) Kinds() []history.Kind  { return nil }
func (c *slo) Observe(*history.Event) {}

func (c *slo) Verdict() Verdict {
	var r ruling
	r.complete(c.ledger)
	f := c.ledger.flow(c.flow)
	if f == nil || f.begun == 0 {
		r.lack("messages: flow %q has none in this run", c.flow)
		return r.verdict("no message of flow %s", c.flow)
	}
	allowed := c.allowed()
	judged, excused := 0, 0
	for j := range f.route.legs {
		s, aside, moving := c.ledger.measureBut(f, j, allowed)
		judged, excused = max(judged, s.offered), max(excused, aside-moving)
		if moving > 0 {
			r.lack("a longer drain: %d messages were on their way to %s at its end", moving, s.leg.name())
		}
		c.leg(f, &s, &r)
	}
	r.count("judged", judged, "messages")
	r.count("aside", excused, "messages")
	return r.verdict("%d messages held to it, %d that a fault could hurt stand aside", judged, excused)
}

// leg holds one sink, or the reply, to its objectives.
func (c *slo) leg(f *flowLedger, s *sample, r *ruling) {
	if s.offered == 0 {
		r.trial("messages to %s that no fault may hurt", s.leg.name())
		return
	}
	broken, lacks := s.breaches()
	if s.completed == 0 && len(broken) == 0 {
		broken = append(broken, breach{kind: "failed", message: s.first,
			text: fmt.Sprintf("none of %d reached %s", s.offered, s.leg.name())})
	}
	for _, b := range broken {
		whole := Window{To: time.Duration(c.ledger.last)}
		if delay, excused := c.ledger.excuses(whole, b); excused {
			r.lack("a quieter machine: %s of flow %s while the harness was delayed by %v",
				b.text, f.name, delay.Round(time.Millisecond))
			continue
		}
		r.anomaly(Anomaly{Kind: b.kind, Flow: f.name, Message: b.message, Where: s.leg.name(),
			Text: b.text})
	}
	for _, l := range lacks {
		r.trial("%s", l)
	}
}

// allowed are the times at which a fault may hurt the flow.
func (c *slo) allowed() (windows []Window) {
	for _, s := range c.ledger.Faults() {
		if grace, in := c.context.mayHurt(s.Name, c.flow); in {
			windows = append(windows, Window{s.From, s.To + grace})
		}
	}
	return windows
}

// mayHurt says whether a flow lies in a fault's blast radius, and how long after the heal it may
// still be hurt.
func (c Context) mayHurt(fault, flow string) (grace time.Duration, in bool) {
	grace, in = c.Blast[fault].Flows[flow]
	return max(grace, DefaultGrace), in
}

// measureBut takes one leg over all messages but those that were meant to be sent in some windows, or
// so short before one that it may have met them, and those that were on their way when the drain ended; it
// counts these.
func (l *Ledger) measureBut(f *flowLedger, j int, windows []Window) (s sample, aside, moving int) {
	standing := l.standing(f)
	before := int64(underWay)
	if p99 := f.route.legs[j].p99; p99 > 0 {
		before = p99
	}
	s, aside = f.sample(j, func(due int64, m *row, lr legRow) bool {
		for _, w := range windows {
			if due >= int64(w.From)-before && due < int64(w.To) {
				return false
			}
		}
		if m.flags&refusedForGood != 0 && lr.state&(arrived|foundThere) == 0 {
			return false
		}
		waits := lr.state&settledBits == 0 && f.owes(m) && l.moving(m, standing)
		moving += one(waits)
		return !waits
	})
	return s, aside, moving
}
