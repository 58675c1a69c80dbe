package assertions

import (
	"fmt"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
)

// Steady judges that the system was well before anything was broken.
//
// Definition: of the messages sent in the steady phase, each flow under load completes, and no
// declared SLO is broken by them.
//
// Evidence: Phase rows, Produce rows, arrivals. Valid: every flow with messages in the phase
// completed some and broke no SLO. Invalid: one is broken (failed or late). Unknown: there was no
// steady phase or no message in it, or latency is over its bound while the harness itself was
// delayed by more than the tolerance (100 ms). A run whose steady state does not hold has measured
// nothing else either: its other verdicts stand on sand, and the summary says so.
//
// A steady phase is short, so an SLO counts as kept here on fewer messages than it takes to vouch
// for it; delivery and isolation do not do that. Cost: one pass over each flow's rows.
// Source: Principles of Chaos Engineering, "build a hypothesis around steady state behaviour".
func Steady() Check {
	return Check{Name: "steady", Property: "steady",
		New: func(l *Ledger, _ Context) Checker { return &steady{ledger: l} }}
}

// delayTolerance is how much the harness may be delayed before a latency over its bound is no
// longer held against the system.
const delayTolerance = 100 * time.Millisecond

type steady struct{ ledger *Ledger }

func (c *steady) Kinds() []history.Kind  { return nil }
func (c *steady) Observe(*history.Event) {}

func (c *steady) Verdict() Verdict {
	var r ruling
	r.sound(c.ledger)
	w, ok := c.ledger.span("steady")
	if !ok {
		r.lack("a steady phase")
	}
	judged, offered := 0, 0
	for _, f := range c.ledger.flows {
		for j := range f.route.legs {
			s := f.measure(j, w)
			if s.offered == 0 {
				continue
			}
			judged++
			offered += s.offered
			c.leg(f, &s, w, &r)
		}
	}
	if ok && judged == 0 {
		r.lack("messages in the steady phase")
	}
	r.count("offered", offered, "messages")
	r.figure("sched_delay_max", float64(c.ledger.delay(w)), "ns")
	return r.verdict("%d legs within their SLO over %v", judged,
		(w.To - w.From).Round(time.Millisecond))
}

func (c *steady) leg(f *flowLedger, s *sample, w Window, r *ruling) {
	broken, _ := s.breaches()
	if s.completed == 0 {
		broken = append(broken, breach{kind: "failed", message: s.first,
			text: fmt.Sprintf("none of %d reached %s", s.offered, s.leg.name())})
	}
	for _, b := range broken {
		if delay := c.ledger.delay(w); b.latency && delay > int64(delayTolerance) {
			r.doubt("a quieter machine: %s of flow %s while the harness was delayed by %v",
				b.text, f.name, time.Duration(delay).Round(time.Millisecond))
			continue
		}
		r.anomaly(Anomaly{Kind: b.kind, Flow: f.name, Message: b.message, Where: s.leg.name(),
			Text: b.text})
	}
}
