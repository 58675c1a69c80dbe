package assertions_test

import (
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/history"
)

// outage is a history in which a fault named "outage" is in force from 3 s to 5 s; what the
// messages of flow t sent then suffer is up to hurt, which gives the time a message arrives later,
// below 0 for never.
func outage(bite int64, hurt func(i int64, sent time.Duration) time.Duration) log {
	l := frame()
	l.fault(3*time.Second, "inject", 0)
	l.fault(5*time.Second-1, "bite", bite)
	l.fault(5*time.Second, "heal", bite)
	for i := range messages {
		t := time.Duration(i) * every
		l.sent("t", i, t)
		l.relayed("t", i, t)
		if late := hurt(i, t); late >= 0 {
			l.add(history.Store, t+ms(10)+late, about("t", i, step("api", "records", "store lake",
				"api -> lake", 1, ms(2))))
			l.audited("t", i)
		}
	}
	return l.sorted()
}

func (l *log) fault(at time.Duration, reason string, bite int64) {
	l.add(history.Fault, at, func(e *history.Event) {
		e.Step, e.Reason, e.Value, e.Wire = "outage", reason, bite, "api -> lake"
	})
}

// thinned keeps only each n-th message from a time on.
func (l log) thinned(n int64, from time.Duration) log {
	return l.without(func(e history.Event) bool {
		return e.Message >= int64(from/every) && e.Message%n != 0
	})
}

// queued is an outage after which what waited arrives at once, after the heal.
func queued(heal time.Duration) func(int64, time.Duration) time.Duration {
	return func(_ int64, sent time.Duration) time.Duration {
		if sent >= 3*time.Second && sent < heal {
			return heal - sent
		}
		return 0
	}
}

func unhurt(int64, time.Duration) time.Duration { return 0 }

// each makes each n-th message from the fault on late.
func each(n int64, late time.Duration) func(int64, time.Duration) time.Duration {
	return func(i int64, sent time.Duration) time.Duration {
		if sent >= 3*time.Second && i%n == 0 {
			return late
		}
		return 0
	}
}

// failing loses every message that is sent in a span.
func failing(from, to time.Duration) func(int64, time.Duration) time.Duration {
	return func(_ int64, sent time.Duration) time.Duration {
		if sent >= from && sent < to {
			return -1
		}
		return 0
	}
}

// stood is a harness that stood still for 300 ms from a time on.
func stood(from time.Duration) func(*log) {
	return func(l *log) {
		l.add(history.Gauge, from+300*time.Millisecond, func(e *history.Event) {
			e.Step, e.Value = "sched_delay_ns", int64(300*time.Millisecond)
		})
	}
}

func TestIsolation(t *testing.T) {
	inside := assertions.Isolation(assertions.IsolationParams{During: "outage",
		BlastRadius: []string{"t"}})
	outside := assertions.Isolation(assertions.IsolationParams{During: "outage"})
	cases := []struct {
		name  string
		log   log
		check assertions.Check
		want  map[string][]string
	}{
		{"isolation/flow outside untouched/valid", outage(7, unhurt), outside, nil},
		{"isolation/flow outside late/leaked", outage(7, queued(5*time.Second)), outside,
			only("isolation[outage]", "invalid", "leaked t-600")},
		{"isolation/flow outside fails/leaked", outage(7, func(i int64,
			sent time.Duration) time.Duration {
			if sent >= 3*time.Second && i%20 == 0 {
				return -1
			}
			return 0
		}), outside, only("isolation[outage]", "invalid", "leaked t-600")},
		{"isolation/one failure of many within the SLO/valid", outage(7, func(i int64,
			_ time.Duration) time.Duration {
			if i == 700 {
				return -1
			}
			return 0
		}), outside, nil},
		{"isolation/only the declared one hurt and nothing else/untested", outage(7,
			queued(5*time.Second)), inside,
			only("isolation[outage]", "untested")},
		{"isolation/no bite/unknown", outage(0, unhurt), outside, only("isolation[outage]",
			"unknown")},
		{"isolation/never injected/unknown", valid(), outside, only("isolation[outage]",
			"unknown")},
		{"isolation/late while the harness was delayed/unknown",
			outage(7, queued(5*time.Second)).with(func(l *log) {
				l.add(history.Gauge, 4*time.Second, func(e *history.Event) {
					e.Step, e.Value = "sched_delay_ns", int64(300*time.Millisecond)
				})
			}), outside, only("isolation[outage]", "unknown")},
		{"isolation/failures while the harness was delayed and others beside/leaked",
			outage(7, failing(4*time.Second, 5*time.Second)).with(stood(4 * time.Second)),
			outside, only("isolation[outage]", "invalid", "leaked t-800")},
		{"isolation/failures while the harness was delayed/unknown",
			outage(7, failing(4*time.Second, 4100*time.Millisecond)).with(stood(4 * time.Second)),
			outside, only("isolation[outage]", "unknown")},
		{"isolation/failures after the harness was delayed/leaked",
			outage(7, failing(4400*time.Millisecond, 4500*time.Millisecond)).with(
				stood(4 * time.Second)),
			outside, only("isolation[outage]", "invalid", "leaked t-880")},
		{"isolation/too few for the SLO/unknown",
			outage(7, unhurt).without(func(e history.Event) bool {
				return e.Message >= 600 &&
					e.Message%50 != 0
			}), outside,
			only("isolation[outage]", "unknown")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { expect(t, c.log, c.want, c.check) })
	}
	t.Run("isolation/summary/three radii side by side", func(t *testing.T) {
		v := assertions.Judge(outage(7, queued(5*time.Second)).events(), []assertions.Check{inside},
			assertions.Context{
				Topology: plant(), Predicted: map[string][]string{"outage": {"t", "q"}}})
		if want := "blast radius declared t, predicted q+t, measured t"; v[0].Summary != want {
			t.Errorf("summary %q, want %q", v[0].Summary, want)
		}
	})
}

func TestRecovery(t *testing.T) {
	check := func(within time.Duration) assertions.Check {
		return assertions.Recovery(assertions.RecoveryParams{From: "outage", Flow: "t",
			Within: within, Hold: time.Second})
	}
	// relapse arrives at once after the heal for half a second, and is late again until 7 s.
	relapse := func(_ int64, sent time.Duration) time.Duration {
		switch {
		case sent >= 3*time.Second && sent < 5*time.Second:
			return 5*time.Second - sent
		case sent >= 5500*time.Millisecond && sent < 7*time.Second:
			return 7*time.Second - sent
		}
		return 0
	}
	cases := []struct {
		name string
		log  log
		want map[string][]string
		took float64
		in   time.Duration
	}{
		{"recovery/well at once after the heal/valid", outage(7, queued(5*time.Second)), nil,
			float64(ms(10)), time.Second},
		{"recovery/backlog until 6 s/valid", outage(7, queued(6*time.Second)), nil,
			float64(ms(1010)), 2 * time.Second},
		{"recovery/backlog until 7 s/late-recovery", outage(7, queued(7*time.Second)),
			only("recovery[t]", "invalid", "late-recovery t-1301"), float64(ms(2010)),
			time.Second},
		{"recovery/first success and a relapse/late-recovery", outage(7, relapse),
			only("recovery[t]", "invalid", "late-recovery t-1301"), float64(ms(2010)),
			time.Second},
		{"recovery/no bite/unknown", outage(0, queued(5*time.Second)), only("recovery[t]",
			"unknown"), float64(ms(10)), time.Second},
		{"recovery/backlog above its bound inside one bucket only/late-recovery",
			outage(7, queued(5250*time.Millisecond)),
			only("recovery[t]", "invalid", "late-recovery t"), float64(ms(260)), ms(250)},
		{"recovery/each 20th late, few enough in each bucket/late-recovery",
			outage(7, each(20, ms(600))), only("recovery[t]", "invalid", "late-recovery t-1980"),
			float64(5 * time.Second), time.Second},
		{"recovery/one late of many/valid", outage(7, each(1100, ms(600))), nil, 0, time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := expect(t, c.log, c.want, check(c.in))
			if diff := gocmp.Diff(assertions.Figure{Name: "recovery_time", Value: c.took,
				Unit: "ns"}, v[0].Figures[1]); diff != "" {
				t.Errorf("figure (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("recovery/load ends too soon/unknown", func(t *testing.T) {
		l := outage(7, func(_ int64, sent time.Duration) time.Duration {
			if sent >= 3*time.Second {
				return 20*time.Second - sent
			}
			return 0
		})
		expect(t, l, only("recovery[t]", "unknown"), check(10*time.Second))
	})
	t.Run("recovery/late with every message at a low rate/late-recovery", func(t *testing.T) {
		expect(t, outage(7, each(1, ms(600))).thinned(150, ms(4500)),
			only("recovery[t]", "invalid", "late-recovery t-1950"), check(time.Second))
	})
	t.Run("recovery/well, and too few messages to say so/unknown", func(t *testing.T) {
		expect(t, outage(7, each(1, 0)).thinned(150, ms(4500)), only("recovery[t]", "unknown"),
			check(time.Second))
	})
	t.Run("recovery/no p99, later than five times its steady state/late-recovery",
		func(t *testing.T) {
			system := plant()
			system.Flows[0].Sinks[0].P99 = 0
			v := assertions.Judge(outage(7, each(1, ms(1200))).events(),
				[]assertions.Check{check(time.Second)}, assertions.Context{Topology: system})
			if v[0].Value != assertions.Invalid {
				t.Errorf("%s: %s %s", v[0].Value, v[0].Summary, v[0].Unknown)
			}
		})
	t.Run("recovery/load, something waits and nothing arrives in a bucket/late-recovery",
		func(t *testing.T) {
			from, to := 5090*time.Millisecond, 5150*time.Millisecond
			l := outage(7, func(_ int64, sent time.Duration) time.Duration {
				if sent >= from && sent < to {
					return max(0, to-sent-ms(10))
				}
				return 0
			})
			expect(t, l, only("recovery[t]", "invalid", "late-recovery t"), assertions.Recovery(
				assertions.RecoveryParams{From: "outage", Flow: "t", Within: ms(100), Bucket: ms(50)}))
		})
	t.Run("recovery/never healed/unknown", func(t *testing.T) {
		l := outage(7, unhurt).without(func(e history.Event) bool {
			return e.Kind == history.Fault && e.Reason == "heal"
		})
		expect(t, l, only("recovery[t]", "unknown"), check(time.Second))
	})
}
