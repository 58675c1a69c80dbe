package assertions_test

import (
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
)

// patient is the plant whose worker tries again over a retry channel, after 50 ms and then 100 ms, and
// dead-letters after the third attempt.
func patient() *topology.Topology {
	t := plant()
	t.Node("worker").Handlers[0].Policy.Retry = &policy.Retry{
		Attempts: 3, Channel: "stream/e.retry",
		Backoff: policy.Backoff{Initial: ms(50), Factor: 2},
	}
	t.Channels = append(t.Channels, &topology.Channel{Ref: "stream/e.retry"})
	return t
}

// visit is one delivery of the hit message to worker: it comes at a time and its attempt ends 6 ms
// later. Any but the first came out of the retry channel.
type visit struct {
	at      time.Duration
	attempt int32
	outcome history.Outcome
	reason  string
}

// visited is a course of visits; a failed one is followed by a publish to the retry channel, but for
// the last. In the end it is dead-lettered as after so many attempts.
func visited(dead int32, visits ...visit) func(*log) {
	return func(l *log) {
		t := time.Duration(hit) * every
		l.sent("t", hit, t)
		l.relayed("t", hit, t)
		for i, v := range visits {
			from := len(*l)
			l.received("t", hit, t+v.at)
			l.run(hit, t+v.at+ms(6), v.attempt, v.outcome, v.reason)
			if v.outcome == history.Fail && i+1 < len(visits) {
				l.add(history.Publish, t+v.at+ms(7), about("t", hit, func(e *history.Event) {
					step("worker", "records", "", "worker -> stream", 1, ms(1))(e)
					e.Channel = "stream/e.retry"
				}))
			}
			for n := range (*l)[from:] {
				e := &(*l)[from+n]
				e.Delivery = int32(i + 1)
				if v.attempt > 1 && e.Kind == history.Receive {
					e.Channel = "stream/e.retry"
				}
			}
		}
		l.deadLettered(hit, t+ms(400), dead, "poison")
		l.foundDead(hit, 1)
	}
}

func TestRetryChannel(t *testing.T) {
	fails := func(at int, n int32) visit { return visit{ms(at), n, history.Fail, "poison"} }
	refused := func(at int, n int32) visit { return visit{ms(at), n, history.Fail, "schema"} }
	crashed := func(at int, n int32) visit { return visit{ms(at), n, history.Unknown, "crash"} }
	for _, m := range []mutation{
		{"retry channel/every pause kept, dead-lettered after three/valid",
			replaced(visited(3, fails(10, 1), fails(70, 2), fails(180, 3))), nil},
		{"retry channel/much later than declared/valid",
			replaced(visited(3, fails(10, 1), fails(70, 2), fails(390, 3))), nil},
		{"retry channel/a crash repeats its attempt/valid",
			replaced(visited(3, fails(10, 1), crashed(70, 2), fails(90, 2), fails(200, 3))), nil},
		{"retry channel/a crash before the first copy was given back/valid",
			replaced(visited(3, fails(10, 1), fails(60, 1), fails(70, 2), fails(121, 2),
				fails(180, 3))), nil},
		{"retry channel/too soon/short-gap",
			replaced(visited(3, fails(10, 1), fails(40, 2), fails(180, 3))),
			only("retry[worker.records]", "invalid", "short-gap t-17")},
		{"retry channel/a fourth attempt/over-retried",
			replaced(visited(3, fails(10, 1), fails(70, 2), fails(180, 3), fails(390, 4))),
			only("retry[worker.records]", "invalid", "over-retried t-17")},
		{"retry channel/the count begins anew/too-early",
			replaced(visited(1, fails(10, 1), fails(70, 2), fails(180, 1))),
			only("dead_letter[stream/e.dead]", "invalid", "too-early t-17", "undue t-17")},
		{"retry channel/after a success/after-success",
			valid().with(func(l *log) {
				t := time.Duration(hit)*every + ms(70)
				l.received("t", hit, t)
				l.run(hit, t+ms(6), 2, history.Ok, "")
			}),
			only("retry[worker.records]", "invalid", "after-success t-17")},
		{"retry channel/after a refusal for good/after-permanent",
			replaced(visited(3, refused(10, 1), fails(70, 2), fails(180, 3))),
			only("retry[worker.records]", "invalid", "after-permanent t-17")},
	} {
		t.Run(m.name, func(t *testing.T) {
			system := patient()
			system.Node("worker").Handlers[0].Policy.Retry.Permanent = []string{"schema"}
			verdicts := assertions.Judge(m.log.events(), implied(system),
				assertions.Context{Topology: system})
			got := findings(verdicts, m.want)
			delete(got, "order[t]") // it goes back by its design, which lint says
			if m.want == nil {
				m.want = map[string][]string{}
			}
			if diff := gocmp.Diff(m.want, got); diff != "" {
				t.Errorf("all that is not valid (-want +got):\n%s", diff)
			}
		})
	}
}

// What came out of the retry channel is a try that was declared; only what came again is a redelivery.
func TestRetryChannelRedeliveries(t *testing.T) {
	fails := func(at int, n int32) visit { return visit{ms(at), n, history.Fail, "poison"} }
	for name, c := range map[string]struct {
		visits []visit
		want   float64
	}{
		"redeliveries/three tries/none": {[]visit{fails(10, 1), fails(70, 2), fails(180, 3)}, 0},
		"redeliveries/a crash in the second/one": {[]visit{fails(10, 1),
			{ms(70), 2, history.Unknown, "crash"}, fails(90, 2), fails(200, 3)}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			system := patient()
			verdicts := assertions.Judge(replaced(visited(3, c.visits...)).events(), implied(system),
				assertions.Context{Topology: system})
			for _, v := range verdicts {
				for _, f := range v.Figures {
					if v.Name == "retry[worker.records]" && f.Name == "redeliveries" {
						if f.Value != c.want {
							t.Errorf("%v redeliveries, want %v", f.Value, c.want)
						}
						return
					}
				}
			}
			t.Error("no verdict tells of redeliveries")
		})
	}
}
