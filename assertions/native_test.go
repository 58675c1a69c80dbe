package assertions_test

import (
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
)

// native is the plant on a broker that dead-letters by itself after three deliveries.
func native() *topology.Topology {
	t := plant()
	t.Node("stream").Protocol = "nats"
	t.Node("worker").Handlers[0].Policy.DeadLetter.Native = true
	return t
}

// given is a course in which the broker delivers the hit message n times, and each time it fails;
// told says that worker knew the last one as such.
func given(n int, told bool) func(*log) {
	return func(l *log) {
		t := time.Duration(hit) * every
		l.sent("t", hit, t)
		l.relayed("t", hit, t)
		for delivery := range n {
			at := t + ms(20+10*delivery)
			nth := func(from int) {
				for i := range (*l)[from:] {
					(*l)[from+i].Delivery = int32(delivery + 1)
				}
			}
			from := len(*l)
			l.received("t", hit, at)
			l.run(hit, at+ms(1), 1, history.Fail, "poison")
			nth(from)
		}
		if told {
			l.deadLettered(hit, t+ms(90), int32(n), "poison")
		}
	}
}

func TestDeadLetteringByTheBroker(t *testing.T) {
	there := func(l *log) { l.foundDead(hit, 1) }
	for _, m := range []mutation{
		{"native/deliveries used up and found/valid", replaced(given(3, true)).with(there), nil},
		{"native/not found/missing", replaced(given(3, true)),
			also(lost(), "dead_letter[stream/e.dead]", "invalid", "missing t-17")},
		{"native/the last delivery ended in silence, found/valid",
			replaced(given(3, false)).with(there), nil},
		{"native/moved after two/too-early", replaced(given(2, true)).with(there),
			only("dead_letter[stream/e.dead]", "invalid", "too-early t-17", "undue t-17")},
		{"native/a fourth delivery/over-delivered",
			replaced(given(4, false)).with(there),
			only("retry[worker.records]", "invalid", "over-delivered t-17")},
	} {
		t.Run(m.name, func(t *testing.T) {
			system := native()
			verdicts := assertions.Judge(m.log.events(), implied(system),
				assertions.Context{Topology: system})
			got := findings(verdicts, m.want)
			if m.want == nil {
				m.want = map[string][]string{}
			}
			if diff := gocmp.Diff(m.want, got); diff != "" {
				t.Errorf("all that is not valid (-want +got):\n%s", diff)
			}
		})
	}
}
