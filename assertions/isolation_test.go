package assertions_test

import (
	"strings"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
)

// beside is a run in which nothing befalls flow t, and flow q of a system has messages of its own.
func beside(q func(*log)) log { return outage(7, unhurt).with(q) }

// asks sends a message of q each 200 ms; hurt gives how much later than 5 ms it arrives, below 0 for
// never.
func asks(hurt func(i int64, sent time.Duration) time.Duration) func(*log) {
	return func(l *log) {
		for i := int64(0); time.Duration(i)*ms(200) < drainFrom; i++ {
			sent := time.Duration(i) * ms(200)
			l.sent("q", i, sent)
			late := hurt(i, sent)
			l.stored("q", i, sent+ms(5)+late, late >= 0)
		}
	}
}

// bears derives a message of q of each fourth one of t; when says when it is born, below 0 for never.
func bears(when func(i int64, sent time.Duration) time.Duration) func(*log) {
	return func(l *log) {
		born := int64(0)
		for i := int64(0); i < messages; i += 4 {
			if at := when(i, time.Duration(i)*every); at >= 0 {
				l.born(born, i, at)
				l.stored("q", born, at+ms(5), true)
				born++
			}
		}
	}
}

// withoutSLO is plant with a flow q that promises nothing.
func withoutSLO() *topology.Topology {
	system := plant()
	system.Flows[1].ReplyWithin = 0
	system.Flows[1].Sinks = []topology.Sink{{Node: "lake"}}
	system.Flows[1].Paths = [][]topology.Hop{{{Node: "device"}, {Node: "api"}, {Node: "lake"}}}
	return system
}

func evenOfQ(e history.Event) bool { return e.Flow == "q" && e.Message%2 == 0 }

func TestIsolationOfLittleLoad(t *testing.T) {
	at := func(_ int64, sent time.Duration) time.Duration { return sent + ms(3) }
	cases := []struct {
		name   string
		system *topology.Topology
		log    log
		flows  []string
		value  assertions.Value
		says   string
	}{
		{"isolation/no SLO, all fail at a low rate/leaked", withoutSLO(),
			beside(asks(failing(3*time.Second, 7*time.Second))), nil, assertions.Invalid, "q-15"},
		{"isolation/no SLO, all late at a low rate/leaked", withoutSLO(),
			beside(asks(each(1, 2*time.Second))), nil, assertions.Invalid, "q-15"},
		{"isolation/no SLO, one fails at a low rate/lack names it", withoutSLO(),
			beside(asks(failing(3*time.Second, ms(3100)))), nil, assertions.Unknown, "(flow q)"},
		{"isolation/no SLO, nothing befalls 20 of them/valid", withoutSLO(), beside(asks(unhurt)), nil,
			assertions.Valid, ""},
		{"isolation/no SLO, nothing befalls 10 of them/lack names it", withoutSLO(),
			beside(asks(unhurt)).without(evenOfQ), nil, assertions.Unknown, "(flow q)"},
		{"isolation/no message while the fault is in force/lack names it", withoutSLO(),
			beside(asks(unhurt)).without(func(e history.Event) bool {
				return e.Flow == "q" && e.At > int64(2*time.Second)
			}), nil, assertions.Unknown, "flow q"},
		{"isolation/a flow that is not asked about has little load/valid", withoutSLO(),
			beside(asks(unhurt)).without(evenOfQ), []string{"t"}, assertions.Valid, ""},
		{"isolation/a flow that is not asked about fails/measured", withoutSLO(),
			beside(asks(failing(3*time.Second, 7*time.Second))), []string{"t"}, assertions.Valid,
			"measured q"},
		{"isolation/derived, born as always/valid", derivedPlant(), beside(bears(at)), nil,
			assertions.Valid, ""},
		{"isolation/derived, none is born while the fault is in force/leaked", derivedPlant(),
			beside(bears(func(i int64, sent time.Duration) time.Duration {
				if sent >= 4*time.Second && sent < 5*time.Second {
					return -1
				}
				return at(i, sent)
			})), nil, assertions.Invalid, "q"},
		{"isolation/derived, born late of parents sent in time/leaked", derivedPlant(),
			beside(bears(func(i int64, sent time.Duration) time.Duration {
				return at(i, sent) + queued(5*time.Second)(i, sent)
			})), nil, assertions.Invalid, "q-150"},
		{"isolation/derived, born too seldom to be missed/lack names it", derivedPlant(),
			beside(bears(func(i int64, sent time.Duration) time.Duration {
				if i%200 != 0 {
					return -1
				}
				return at(i, sent)
			})), nil, assertions.Unknown, "(flow q)"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := assertions.Judge(c.log.events(), []assertions.Check{assertions.Isolation(
				assertions.IsolationParams{During: "outage", Flows: c.flows})},
				assertions.Context{Topology: c.system})[0]
			said := v.Summary + v.Unknown
			for _, a := range v.Anomalies {
				said += " " + a.Subject()
			}
			if v.Value != c.value || !strings.Contains(said, c.says) {
				t.Errorf("%s: %s %s %v", v.Value, v.Summary, v.Unknown, v.Anomalies)
			}
		})
	}
}
