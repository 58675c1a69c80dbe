package assertions_test

import (
	"strings"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
)

// TestPathological judges one history in which everything goes wrong at once, each on a message of
// its own: no category hides another.
func TestPathological(t *testing.T) {
	at := func(i int64) time.Duration { return time.Duration(i) * every }
	l := valid().
		without(is(1000, "lake")).                                           // lost
		without(is(1100, "")).                                               // not sent
		without(is(1200, "worker", history.Receive, history.Call)).          // unconnected
		without(is(1300, "")).with(func(l *log) { l.poisoned(1300, true) }). // rightly dead
		without(is(1400, "")).with(func(l *log) { l.poisoned(1400, false) }).
		without(is(1500, "worker", history.Call)).
		with(func(l *log) {
			l.audited("t", messages) // unexpected
			l.foundDead(1001, 1)     // undue
			end := l.failing(1500, at(1500)+ms(7), "4xx")
			l.add(history.Call, end+ms(20), about("t", 1500, step("worker", "records", "call api",
				"worker -> api", 2, ms(5)))) // after a permanent reason
		}).
		changed(is(1500, "worker", history.Attempt),
			func(e *history.Event) { e.At += int64(ms(60)) }).
		changed(is(1300, "stream", history.Found), func(e *history.Event) { e.Value = 2 }).
		changed(is(1600, "api", history.Store), func(e *history.Event) { e.At += int64(ms(40)) }).
		changed(is(1700, "worker"), func(e *history.Event) { e.Trace[15] = 9 }).
		changed(is(1800, "worker"), func(e *history.Event) { e.At += int64(6 * time.Second) })
	expect(t, l, map[string][]string{
		"load":         {"invalid", "not-sent t-1100"},
		"delivery[t]":  {"invalid", "lost t-1000", "lost t-1400", "unexpected t-2000"},
		"conservation": {"invalid", "lost t-1000", "lost t-1400", "unexpected t-2000"},
		"order[t]":     {"invalid", "reordered t-1600"},
		"trace[t]":     {"invalid", "unconnected t-1200", "broken-trace t-1700"},
		"dead_letter[stream/e.dead]": {"invalid", "undue t-1001", "twice t-1300",
			"missing t-1400"},
		"retry[worker.records]": {"invalid", "after-permanent t-1500"},
		"ttl[worker.records]":   {"invalid", "handled-expired t-1800"},
	})
}

// TestShown asks that a verdict shows ten anomalies and counts the rest.
func TestShown(t *testing.T) {
	l := valid().without(func(e history.Event) bool { return e.Node == "lake" && e.Message < 25 })
	v := assertions.Judge(l.events(), []assertions.Check{assertions.Delivery("t")},
		assertions.Context{Topology: plant()})
	if len(v[0].Anomalies) != 10 || v[0].More != 15 {
		t.Errorf("%d shown and %d more", len(v[0].Anomalies), v[0].More)
	}
	if !strings.HasPrefix(v[0].Summary, "10 lost, 15 more; 1975 of 2000") {
		t.Errorf("summary %q", v[0].Summary)
	}
}

// TestDerived follows a flow that is born of another: its publish is a row of its parent's.
func TestDerived(t *testing.T) {
	system := plant()
	system.Flows[1].ReplyWithin, system.Flows[1].DerivedFrom = 0, "t"
	system.Flows[1].Paths = [][]topology.Hop{system.Flows[0].Paths[0][2:]}
	system.Flows[1].Sinks = system.Flows[0].Sinks
	born := func(published, arrives bool) log {
		var l log
		l.add(history.Derive, ms(10), about("q", 0, func(e *history.Event) {
			e.Node, e.Handler, e.Step, e.ParentFlow, e.Parent = "rule", "relay", "publish stream/e",
				"t", 5
		}))
		if published {
			l.add(history.Publish, ms(12), about("t", 5, func(e *history.Event) {
				step("rule", "relay", "publish stream/e", "rule -> stream", 1, ms(1))(e)
				e.Channel = "stream/e"
			}))
		}
		if arrives {
			l.audited("q", 0)
		}
		l.add(history.Ended, auditFrom, nil)
		return l.sorted()
	}
	cases := []struct {
		name string
		log  log
		want assertions.Value
	}{
		{"delivery/derived, published and there/valid", born(true, true), assertions.Valid},
		{"delivery/derived, published and nowhere/invalid", born(true, false), assertions.Invalid},
		{"delivery/derived and never published/unknown", born(false, false), assertions.Unknown},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := assertions.Judge(c.log.events(), []assertions.Check{assertions.Delivery("q")},
				assertions.Context{Topology: system})
			if v[0].Value != c.want {
				t.Errorf("%s is %s: %s %s", v[0].Name, v[0].Value, v[0].Summary, v[0].Unknown)
			}
		})
	}
}
