package assertions_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/history"
)

const hit = int64(17) // the message that mutations touch; 24 is the next of its key

// lost is what every loss of the hit message shows.
func lost() map[string][]string {
	return map[string][]string{"delivery[t]": {"invalid", "lost t-17"}, "conservation": {"invalid",
		"lost t-17"}}
}

func also(m map[string][]string, name string, list ...string) map[string][]string {
	m[name] = list
	return m
}

func only(name string, list ...string) map[string][]string {
	return map[string][]string{name: list}
}

func both(kind string) map[string][]string {
	return map[string][]string{"delivery[t]": {"invalid", kind}, "conservation": {"invalid", kind}}
}

// replaced is the valid history with another course of the hit message.
func replaced(course func(*log)) log {
	return valid().without(is(hit, "")).with(course)
}

// tried is a course in which the call takes several tries before it works.
func tried(gap time.Duration, reason string) log {
	return valid().without(is(hit, "worker", history.Call)).with(func(l *log) {
		t := time.Duration(hit)*every + ms(7)
		t = l.failing(hit, t, reason)
		l.add(history.Call, t+gap+ms(5), about("t", hit, step("worker", "records", "call api",
			"worker -> api", 2, ms(5))))
	}).changed(is(hit, "worker", history.Attempt), func(e *history.Event) {
		e.At += int64(gap +
			ms(20))
	})
}

// mutation is a history and all that is not valid about it.
type mutation struct {
	name string
	log  log
	want map[string][]string
}

func TestMutations(t *testing.T) {
	for _, c := range slices.Concat(deliveryMutations(), orderMutations(), retryMutations(),
		deadLetterMutations()) {
		t.Run(c.name, func(t *testing.T) { expect(t, c.log, c.want) })
	}
}

// deliveryMutations are about what arrives.
func deliveryMutations() []mutation {
	return []mutation{
		{"all/nothing changed/valid", valid(), nil},
		{"delivery/dropped after the ack/lost",
			valid().without(func(e history.Event) bool {
				return is(hit, "api")(e) || is(hit, "lake")(e) || is(hit, "worker", history.Call,
					history.Attempt)(e)
			}), lost()},
		{"delivery/gone from the store/lost", valid().without(is(hit, "lake")), lost()},
		{"delivery/invented at the store/unexpected",
			valid().with(func(l *log) { l.audited("t", messages) }), both("unexpected t-2000")},
		{"delivery/producer told no/valid", valid().changed(is(hit, "device", history.Produce),
			func(e *history.Event) {
				if e.Outcome == history.Ok {
					e.Outcome = history.Fail
				}
			}), nil},
		{"delivery/producer told nothing and lost/valid",
			valid().without(func(e history.Event) bool {
				return is(hit, "lake")(e) || is(hit, "device", history.Produce)(e) &&
					e.Outcome == history.Ok
			}), nil},
		{"delivery/twice at the sink under at-least-once/valid",
			valid().changed(is(hit, "lake"), func(e *history.Event) { e.Value = 2 }), nil},
	}
}

// orderMutations are about order, load, traces and time.
func orderMutations() []mutation {
	at := time.Duration(hit) * every
	return []mutation{
		{"order/two of one key swapped/reordered",
			valid().changed(is(hit, "api", history.Store),
				func(e *history.Event) { e.At += int64(ms(40)) }),
			only("order[t]", "invalid", "reordered t-17")},
		{"order/swapped, and the second sent before the first was answered/valid",
			valid().changed(is(hit, "api", history.Store),
				func(e *history.Event) { e.At += int64(ms(40)) }).changed(is(hit, "device", history.Produce),
				func(e *history.Event) {
					if e.Outcome == history.Ok {
						e.At += int64(ms(34))
					}
				}), nil},
		{"order/swapped, and the first was told no/valid",
			valid().changed(is(hit, "api", history.Store),
				func(e *history.Event) { e.At += int64(ms(40)) }).changed(is(hit, "device", history.Produce),
				func(e *history.Event) {
					if e.Outcome == history.Ok {
						e.Outcome = history.Fail
					}
				}), nil},
		{"order/two of different keys swapped/valid",
			valid().changed(is(hit, "api", history.Store),
				func(e *history.Event) { e.At += int64(ms(20)) }), nil},
		{"order/an old one redelivered/valid", valid().with(func(l *log) {
			l.add(history.Store, at+ms(300), about("t", hit, step("api", "records", "store lake",
				"api -> lake", 1, ms(2))))
		}), nil},
		{"load/one never begun/not-sent", valid().without(is(hit, "")), only("load", "invalid",
			"not-sent t-17")},
		{"load/one too many/unasked", valid().with(func(l *log) {
			l.journey("t", messages, drainFrom-ms(1))
			l.audited("t", messages)
		}), only("load", "invalid", "unasked t-2000")},
		{"trace/another id half way/broken-trace",
			valid().changed(is(hit, "worker"), func(e *history.Event) { e.Trace[15] = 9 }),
			only("trace[t]", "invalid", "broken-trace t-17")},
		{"trace/no id half way/untraced",
			valid().changed(is(hit, "worker", history.Receive),
				func(e *history.Event) { e.Trace = [16]byte{} }),
			only("trace[t]", "invalid", "untraced t-17")},
		{"trace/a hop nobody saw/unconnected",
			valid().without(is(hit, "worker", history.Receive, history.Call)),
			only("trace[t]", "invalid", "unconnected t-17")},
		{"ttl/worked on too late/handled-expired",
			valid().changed(is(hit, "worker"),
				func(e *history.Event) { e.At += int64(6 * time.Second) }),
			only("ttl[worker.records]", "invalid", "handled-expired t-17")},
		{"steady/ten too slow/late", valid().changed(func(e history.Event) bool {
			return e.Message >= 100 && e.Message < 110 && e.Kind == history.Store
		}, func(e *history.Event) { e.At += int64(time.Second) }),
			map[string][]string{"steady": {"unknown", "late t-100"}, "order[t]": {"invalid",
				"reordered t-100",
				"reordered t-101", "reordered t-102", "reordered t-103", "reordered t-104",
				"reordered t-105",
				"reordered t-106", "reordered t-107", "reordered t-108", "reordered t-109"}}},
	}
}

// retryMutations are about tries.
func retryMutations() []mutation {
	at := time.Duration(hit) * every
	return []mutation{
		{"retry/tried again as declared/valid", tried(ms(50), "5xx"), nil},
		{"retry/pause too short/short-gap", tried(ms(30), "5xx"),
			only("retry[worker.records]", "invalid", "short-gap t-17")},
		{"retry/pause too long/long-gap", tried(ms(400), "5xx"),
			only("retry[worker.records]", "invalid", "long-gap t-17")},
		{"retry/after a permanent reason/after-permanent", tried(ms(50), "4xx"),
			only("retry[worker.records]", "invalid", "after-permanent t-17")},
		{"retry/after success/after-success", valid().with(func(l *log) {
			l.add(history.Call, at+ms(12)+1, about("t", hit, step("worker", "records", "call api",
				"worker -> api", 2, 1)))
		}), only("retry[worker.records]", "invalid", "after-success t-17")},
		{"retry/a fifth try/over-retried", valid().without(is(hit, "worker",
			history.Call)).with(func(l *log) {
			end := l.failing(hit, at+ms(7), "5xx", "5xx", "5xx", "5xx")
			l.add(history.Call, end+ms(505), about("t", hit, step("worker", "records", "call api",
				"worker -> api", 5, ms(5))))
		}).changed(is(hit, "worker", history.Attempt),
			func(e *history.Event) { e.At += int64(ms(900)) }),
			only("retry[worker.records]", "invalid", "over-retried t-17")},
	}
}

// deadLetterMutations are about dead letters.
func deadLetterMutations() []mutation {
	at := time.Duration(hit) * every
	return []mutation{
		{"dead_letter/attempts used up/valid", replaced(func(l *log) { l.poisoned(hit, true) }),
			nil},
		{"dead_letter/dropped instead/missing", replaced(func(l *log) { l.poisoned(hit, false) }),
			also(lost(), "dead_letter[stream/e.dead]", "invalid", "missing t-17")},
		{"dead_letter/sent and not there/missing",
			replaced(func(l *log) { l.poisoned(hit, true) }).without(is(hit, "stream",
				history.Found)),
			also(lost(), "dead_letter[stream/e.dead]", "invalid", "missing t-17")},
		{"dead_letter/there without a failure/undue", valid().with(func(l *log) {
			l.foundDead(hit,
				1)
		}),
			only("dead_letter[stream/e.dead]", "invalid", "undue t-17")},
		{"dead_letter/there twice/twice", replaced(func(l *log) { l.poisoned(hit, true) }).
			changed(is(hit, "stream", history.Found), func(e *history.Event) { e.Value = 2 }),
			only("dead_letter[stream/e.dead]", "invalid", "twice t-17")},
		{"dead_letter/twice beside a crash/valid", replaced(func(l *log) {
			l.poisoned(hit, true)
			l.add(history.NodeState, at+ms(49), func(e *history.Event) {
				e.Node,
					e.Reason = "worker", "crash"
			})
		}).changed(is(hit, "stream", history.Found), func(e *history.Event) { e.Value = 2 }), nil},
		{"dead_letter/one attempt too few/too-early", replaced(func(l *log) {
			l.poisoned(hit,
				true)
		}).
			without(func(e history.Event) bool {
				return is(hit, "worker", history.Attempt)(e) &&
					e.Attempt == 3
			}).
			changed(is(hit, "worker", history.DeadLetter),
				func(e *history.Event) { e.Attempt = 2 }),
			only("dead_letter[stream/e.dead]", "invalid", "too-early t-17", "undue t-17")},
	}
}

func TestEvidence(t *testing.T) {
	t.Run("all/shed events/unknown", func(t *testing.T) {
		l := valid().with(func(l *log) {
			l.add(history.Shed, time.Second, func(e *history.Event) { e.Value = 3 })
		})
		for _, v := range assertions.Judge(l.events(), implied(plant()),
			assertions.Context{Topology: plant()}) {
			if v.Value != assertions.Unknown {
				t.Errorf("%s is %s", v.Name, v.Value)
			}
		}
	})
	t.Run("all/empty history/unknown", func(t *testing.T) {
		for _, v := range assertions.Judge(log{}.events(), implied(plant()),
			assertions.Context{Topology: plant()}) {
			if v.Value != assertions.Unknown || v.Unknown == "" {
				t.Errorf("%s is %s, needs %q", v.Name, v.Value, v.Unknown)
			}
		}
	})
	t.Run("delivery/no end/unknown", func(t *testing.T) {
		l := valid().without(func(e history.Event) bool {
			return e.Kind == history.Ended ||
				e.Kind == history.Found
		})
		verdicts := assertions.Judge(l.events(), []assertions.Check{assertions.Delivery("t")},
			assertions.Context{Topology: plant()})
		if verdicts[0].Value != assertions.Unknown {
			t.Errorf("a loss without an end is %s", verdicts[0].Value)
		}
	})
	t.Run("delivery/moving when the drain ends/in flight", func(t *testing.T) {
		l := valid().without(is(hit, "lake")).with(func(l *log) {
			l.run(hit, auditFrom-ms(10), 2,
				history.Fail, "5xx")
		})
		verdicts := expect(t, l, map[string][]string{"delivery[t]": {"unknown"},
			"conservation": {"unknown"}},
			assertions.Delivery("t"), assertions.Conservation())
		want := "a longer drain: 1 messages were in flight at its end, such as t-17"
		if verdicts[0].Unknown != want {
			t.Errorf("needs %q, want %q", verdicts[0].Unknown, want)
		}
	})
	t.Run("delivery/in a channel nobody can measure, drain cut short/in flight",
		func(t *testing.T) {
			l := valid().without(func(e history.Event) bool {
				return e.Message == hit && e.Node != "device"
			}).with(func(l *log) { l.acked("t", messages-1, auditFrom-ms(1)) })
			expect(t, l, map[string][]string{"delivery[t]": {"unknown"}, "conservation": {"unknown"}},
				assertions.Delivery("t"), assertions.Conservation())
		})
	t.Run("delivery/in a channel nobody can measure, nothing moves/lost", func(t *testing.T) {
		l := valid().without(func(e history.Event) bool {
			return e.Message == hit && e.Node != "device"
		})
		expect(t, l, lost(), assertions.Delivery("t"), assertions.Conservation())
	})
	t.Run("delivery/waiting in a channel when the drain ends/in flight", func(t *testing.T) {
		l := valid().without(func(e history.Event) bool {
			return is(hit, "lake")(e) || is(hit, "worker")(e) || is(hit, "api")(e)
		}).with(func(l *log) {
			l.add(history.Gauge, auditFrom-ms(5), func(e *history.Event) {
				e.Step, e.Channel, e.Value = "depth", "stream/e", 1
			})
		})
		expect(t, l, map[string][]string{"delivery[t]": {"unknown"}, "conservation": {"unknown"}},
			assertions.Delivery("t"), assertions.Conservation())
	})
}

func TestJudge(t *testing.T) {
	t.Run("delivery/anomaly/shows its events in order", func(t *testing.T) {
		v := expect(t, valid().without(is(hit, "lake")), lost())
		for _, verdict := range v {
			for _, a := range verdict.Anomalies {
				if len(a.Events) == 0 || a.Events[0].Kind != history.Produce ||
					a.Events[0].Message != hit {
					t.Errorf("%s shows %d events", verdict.Name, len(a.Events))
				}
			}
		}
	})
	t.Run("all/message number out of all proportion/unknown", func(t *testing.T) {
		l := valid().with(func(l *log) { l.audited("t", 1<<50) })
		v := assertions.Judge(l.events(), []assertions.Check{assertions.Delivery("t")},
			assertions.Context{Topology: plant()})
		if v[0].Value != assertions.Unknown {
			t.Errorf("an impossible history is %s", v[0].Value)
		}
	})
	t.Run("all/a checker that panics/unknown", func(t *testing.T) {
		bad := assertions.Check{Name: "bad", New: func(*assertions.Ledger,
			assertions.Context) assertions.Checker {
			return panics{}
		}}
		v := assertions.Judge(valid().events(), []assertions.Check{bad, assertions.Delivery("t")},
			assertions.Context{Topology: plant()})
		if v[0].Value != assertions.Unknown || v[1].Value != assertions.Valid {
			t.Errorf("verdicts are %s and %s", v[0].Value, v[1].Value)
		}
	})
}

type panics struct{}

func (panics) Observe(*history.Event)      { panic("no") }
func (panics) Verdict() assertions.Verdict { return assertions.Verdict{Value: assertions.Valid} }

// TestOneMutation makes one mutation on a random message and asks for exactly that anomaly.
func TestOneMutation(t *testing.T) {
	base := valid()
	rapid.Check(t, func(rt *rapid.T) {
		i := rapid.Int64Range(0, messages-1).Draw(rt, "message")
		id := assertions.Anomaly{Flow: "t", Message: i}.Subject()
		switch rapid.SampledFrom([]string{"drop", "un-send", "trace", "undue", "ack"}).Draw(rt,
			"mutation") {
		case "drop":
			expect(t, base.without(is(i, "lake")), both("lost "+id))
		case "un-send":
			expect(t, base.without(is(i, "")), only("load", "invalid", "not-sent "+id))
		case "trace":
			l := base.changed(is(i, "api", history.Receive),
				func(e *history.Event) { e.Trace[9] ^= 1 })
			expect(t, l, only("trace[t]", "invalid", "broken-trace "+id))
		case "undue":
			l := base.with(func(l *log) { l.foundDead(i, 1) })
			expect(t, l, only("dead_letter[stream/e.dead]", "invalid", "undue "+id))
		case "ack":
			expect(t, base.with(func(l *log) { l.acked("t", i, auditFrom-ms(700)) }), nil)
		}
	})
}
