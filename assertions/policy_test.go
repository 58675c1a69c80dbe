package assertions_test

import (
	"testing"
	"time"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/history"
)

// circuit writes rows of worker's call and of its breaker; times in ms.
type circuit struct{ log }

func (c *circuit) call(at int, outcome history.Outcome, reason string) {
	c.add(history.Call, ms(at), about("t", int64(at), func(e *history.Event) {
		step("worker", "records", "call api", "worker -> api", 1, ms(2))(e)
		e.Outcome, e.Reason = outcome, reason
	}))
}

func (c *circuit) fails(from, n int) {
	for i := range n {
		c.call(from+10*i, history.Fail, "5xx")
	}
}

func (c *circuit) state(at int, reason string) {
	c.add(history.Breaker, ms(at), func(e *history.Event) {
		e.Node, e.Handler, e.Step, e.Reason = "worker", "records", "call api", reason
	})
}

func TestBreaker(t *testing.T) {
	const name = "breaker[worker.records/call api]"
	cases := []struct {
		name  string
		write func(*circuit)
		want  map[string][]string
	}{
		{"breaker/opens, holds, closes/valid", func(c *circuit) {
			c.fails(100, 5)
			c.state(141, "open")
			c.state(2141, "half_open")
			c.call(2145, history.Ok, "")
			c.state(2146, "closed")
			c.call(2150, history.Ok, "")
		}, nil},
		{"breaker/never opens/not-opened", func(c *circuit) { c.fails(100, 20) },
			only(name, "invalid", "not-opened t-250")},
		{"breaker/try while open/call-while-open", func(c *circuit) {
			c.fails(100, 5)
			c.state(141, "open")
			c.call(500, history.Fail, "5xx")
		}, only(name, "invalid", "call-while-open t-500")},
		{"breaker/try while open and the harness was delayed/valid", func(c *circuit) {
			c.fails(100, 5)
			c.state(141, "open")
			c.call(300, history.Fail, "5xx")
			c.add(history.Gauge, ms(290), func(e *history.Event) {
				e.Step, e.Value = "sched_delay_ns", int64(ms(80))
			})
		}, nil},
		{"breaker/refused while open/valid", func(c *circuit) {
			c.fails(100, 5)
			c.state(141, "open")
			c.call(500, history.Fail, "breaker_open")
		}, nil},
		{"breaker/trial too soon/half-open-early", func(c *circuit) {
			c.fails(100, 5)
			c.state(141, "open")
			c.state(1000, "half_open")
		}, only(name, "invalid", "half-open-early worker.records/call api")},
		{"breaker/two failures/opened-early", func(c *circuit) {
			c.fails(100, 2)
			c.state(141, "open")
		}, only(name, "invalid", "opened-early worker.records/call api")},
		{"breaker/permanent failures/valid", func(c *circuit) {
			for i := range 20 {
				c.call(100+10*i, history.Fail, "4xx")
			}
		}, nil},
		{"breaker/failures mixed with successes/valid", func(c *circuit) {
			for i := range 20 {
				c.call(100+20*i, history.Fail, "5xx")
				c.call(110+20*i, history.Ok, "")
			}
		}, nil},
		{"breaker/no tries/unknown", func(*circuit) {}, only(name, "unknown")},
	}
	check := assertions.Breaker(assertions.BreakerParams{Node: "worker", Handler: "records",
		Step: "call api"})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var k circuit
			c.write(&k)
			expect(t, k.log.sorted(), c.want, check)
		})
	}
	t.Run("breaker/asked to open and never needed/unknown", func(t *testing.T) {
		var k circuit
		k.call(100, history.Ok, "")
		expect(t, k.log, only(name, "unknown"), assertions.Breaker(assertions.BreakerParams{
			Node: "worker", Handler: "records", Step: "call api", Opens: true}))
	})
}

func TestBulkhead(t *testing.T) {
	runs := func(at ...int) log {
		var l log
		for i, start := range at {
			l.run(int64(i), ms(start+100), 1, history.Ok, "")
			l[len(l)-1].Duration = int64(ms(100))
		}
		return l.sorted()
	}
	check := assertions.Bulkhead("worker", "records", "")
	cases := []struct {
		name string
		log  log
		want map[string][]string
	}{
		{"bulkhead/four at once of four/valid", runs(0, 10, 20, 30), nil},
		{"bulkhead/five one after another/valid", runs(0, 100, 200, 300, 400), nil},
		{"bulkhead/five at once of four/overfull", runs(0, 10, 20, 30, 40),
			only("bulkhead[worker.records]", "invalid", "overfull t-4")},
		{"bulkhead/no runs/unknown", log{}, only("bulkhead[worker.records]", "unknown")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { expect(t, c.log, c.want, check) })
	}
}

func TestTTL(t *testing.T) {
	expired := func(age time.Duration) log {
		return valid().without(func(e history.Event) bool {
			return e.Message == hit &&
				e.At > int64(time.Duration(hit)*every+ms(5))
		}).
			with(func(l *log) {
				at := time.Duration(hit)*every + age
				l.received("t", hit, at)
				l.add(history.Expire, at, about("t", hit, func(e *history.Event) {
					e.Node,
						e.Handler = "worker", "records"
				}))
				l.acked("t", hit, at+1)
			})
	}
	t.Run("ttl/too old and dropped/valid", func(t *testing.T) {
		expect(t, expired(6*time.Second),
			nil)
	})
	t.Run("ttl/young and dropped/expired-early", func(t *testing.T) {
		expect(t, expired(time.Second), only("ttl[worker.records]", "invalid",
			"expired-early t-17"))
	})
}

func TestAuth(t *testing.T) {
	refuse := func(l *log, at time.Duration) {
		l.add(history.Reject, at, about("t", hit, func(e *history.Event) {
			e.Node, e.Handler, e.Outcome, e.Reason = "worker", "records", history.Fail, "auth"
		}))
	}
	at := time.Duration(hit) * every
	cases := []struct {
		name string
		log  log
		want map[string][]string
	}{
		{"auth/refused and nowhere/valid", valid().without(func(e history.Event) bool {
			return is(hit, "lake")(e) || is(hit, "api")(e) || is(hit, "worker", history.Attempt)(e)
		}).with(func(l *log) { refuse(l, at+ms(7)) }), nil},
		{"auth/refused and stored/effect-behind-refusal",
			valid().with(func(l *log) { refuse(l, at+ms(50)) }), only("auth[t]", "invalid",
				"effect-behind-refusal t-17")},
		{"auth/refused and let in later/valid", valid().with(func(l *log) { refuse(l, at+ms(7)) }),
			nil},
		{"auth/nothing refused/unknown", valid(), only("auth[t]", "unknown")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { expect(t, c.log, c.want, assertions.Auth("t", 1)) })
	}
}

func TestIdempotence(t *testing.T) {
	again := func(l *log) {
		l.received("t", hit, time.Second)
		(*l)[len(*l)-1].Delivery = 2
	}
	cases := []struct {
		name string
		log  log
		want map[string][]string
	}{
		{"idempotence/redelivered and there once/valid", valid().with(again), nil},
		{"idempotence/redelivered and there twice/duplicated", valid().with(again).changed(is(hit,
			"lake"),
			func(e *history.Event) { e.Value = 2 }), only("idempotence[t]", "invalid",
			"duplicated t-17")},
		{"idempotence/never redelivered/untested", valid(), only("idempotence[t]", "untested")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { expect(t, c.log, c.want, assertions.Idempotence("t")) })
	}
}

func TestAmplification(t *testing.T) {
	check := func(budget float64) assertions.Check {
		return assertions.Retry(assertions.RetryParams{Node: "worker", Handler: "records",
			Amplification: budget})
	}
	var l log
	for i := range int64(10) {
		l.failing(i, time.Duration(i)*time.Second, "5xx", "5xx", "5xx")
	}
	t.Run("retry/three tries a message within 3/valid", func(t *testing.T) {
		expect(t, l.sorted(),
			nil, check(3))
	})
	t.Run("retry/three tries a message over 1.5/amplified", func(t *testing.T) {
		expect(t, l.sorted(), only("retry[worker.records]", "invalid", "amplified worker -> api"),
			check(1.5))
	})
	t.Run("retry/a pause while the breaker is open/valid", func(t *testing.T) {
		var k circuit
		k.call(100, history.Fail, "5xx")
		k.state(105, "open")
		k.state(2105, "half_open")
		k.add(history.Call, ms(2200), about("t", 100, step("worker", "records", "call api",
			"worker -> api", 2, ms(2))))
		expect(t, k.log, nil, check(0))
	})
}

func TestRedrive(t *testing.T) {
	redriven := func(completes bool) log {
		return replaced(func(l *log) {
			l.poisoned(hit, true)
			at := 5 * time.Second
			l.add(history.Redrive, at, about("t", hit, func(e *history.Event) {
				e.Node,
					e.Channel = "stream", "stream/e"
			}))
			l.received("t", hit, at+ms(1))
			if completes {
				l.add(history.Receive, at+ms(2), about("t", hit, func(e *history.Event) {
					e.Node,
						e.Handler = "api", "records"
				}))
				l.add(history.Store, at+ms(3), about("t", hit, step("api", "records", "store lake",
					"api -> lake", 1, ms(1))))
				l.audited("t", hit)
			}
		})
	}
	checks := []assertions.Check{assertions.Delivery("t"), assertions.Order("t"),
		assertions.DeadLetter(assertions.DeadLetterParams{Channel: "stream/e.dead", Exactly: 1})}
	t.Run("dead_letter/redriven and completed/valid", func(t *testing.T) {
		expect(t, redriven(true),
			nil, checks...)
	})
	t.Run("dead_letter/redriven and ended nowhere/redrive-incomplete", func(t *testing.T) {
		expect(t, redriven(false), map[string][]string{"delivery[t]": {"invalid", "lost t-17"},
			"dead_letter[stream/e.dead]": {"invalid", "redrive-incomplete t-17"}}, checks...)
	})
	t.Run("dead_letter/three asked for and one there/wrong-count", func(t *testing.T) {
		expect(t, redriven(true), only("dead_letter[stream/e.dead]", "invalid",
			"wrong-count stream/e.dead"),
			assertions.DeadLetter(assertions.DeadLetterParams{Channel: "stream/e.dead",
				Exactly: 3}))
	})
}
