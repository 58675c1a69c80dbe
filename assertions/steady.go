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
// completed some and broke no SLO. Never invalid: a run whose steady state does not hold has measured
// nothing, so the verdict is unknown, with what was broken (failed or late), and so are the verdicts
// that compare with it (isolation and recovery). Unknown also: there was no steady phase or no
// message in it, or latency is over its bound while the harness itself was delayed by more than the
// tolerance (100 ms).
//
// Messages sent in the phase's last fifth, one second at most, are left out: they may be on their
// way still when the first fault is injected.
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

// delayGrowth is how many times the harness's delay a latency may be over its bound and still be
// put down to it: a queue that grew during a delay takes longer than the delay to drain.
const delayGrowth = 20

// excuses says that the harness's own delay in a window may explain a latency over its bound, or
// enough of the failures: those that were under way while it was delayed.
func (l *Ledger) excuses(w Window, b breach) (delay time.Duration, yes bool) {
	if b.latency {
		delay = time.Duration(l.delay(w))
		return delay, delay > delayTolerance && b.excess <= delayGrowth*delay
	}
	own := 0 // failures that the delay does not explain
	for _, life := range b.lives {
		d := time.Duration(l.stood(life))
		if d <= delayTolerance || life.To-life.From > delayGrowth*d {
			own++
			continue
		}
		delay = max(delay, d)
	}
	return delay, own < len(b.lives) && own <= b.granted
}

type steady struct{ ledger *Ledger }

func (c *steady) Kinds() []history.Kind  { return nil }
func (c *steady) Observe(*history.Event) {}

func (c *steady) Verdict() Verdict {
	var r ruling
	r.sound(c.ledger)
	w, ok := c.ledger.steady()
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
	v := r.verdict("%d legs within their SLO over %v", judged,
		(w.To - w.From).Round(time.Millisecond))
	if v.Value == Invalid {
		v.Value = Unknown
		v.Unknown = "a load and a machine under which the system is well before anything is broken"
	}
	return v
}

// steady is the steady phase without its last messages, which a fault may have met on their way.
func (l *Ledger) steady() (Window, bool) {
	w, ok := l.span("steady")
	w.To -= min(time.Second, (w.To-w.From)/5)
	return w, ok
}

// unsettle makes the verdicts that compare with the steady state unknown when it did not hold.
func unsettle(verdicts []Verdict) {
	for _, v := range verdicts {
		if v.Property == "steady" && v.Value == Valid {
			return
		}
	}
	for i := range verdicts {
		v := &verdicts[i]
		if v.Property == "isolation" || v.Property == "recovery" {
			v.Value, v.Unknown = Unknown, "a steady state to compare with: it did not hold, see steady"
		}
	}
}

func (c *steady) leg(f *flowLedger, s *sample, w Window, r *ruling) {
	broken, _ := s.breaches()
	if s.completed > 0 && len(s.timed) == 0 && s.leg.p99+s.leg.p50 > 0 {
		r.lack("times of arrival at %s (flow %s)", s.leg.name(), f.name)
	}
	if s.completed == 0 {
		broken = append(broken, breach{kind: "failed", message: s.first,
			text: fmt.Sprintf("none of %d reached %s", s.offered, s.leg.name())})
	}
	for _, b := range broken {
		if delay, excused := c.ledger.excuses(w, b); excused {
			r.doubt("a quieter machine: %s of flow %s while the harness was delayed by %v",
				b.text, f.name, delay.Round(time.Millisecond))
			continue
		}
		r.anomaly(Anomaly{Kind: b.kind, Flow: f.name, Message: b.message, Where: s.leg.name(),
			Text: b.text})
	}
}
