package assertions

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
)

// shop is app -> stream/orders -> worker -> archive -> lake; the worker runs code of its own.
func shop() *topology.Topology {
	hop := func(name string) topology.Hop { return topology.Hop{Node: name} }
	events := topology.Hop{Node: "stream", Channel: "stream/orders"}
	retry := &policy.Retry{Attempts: 3}
	return &topology.Topology{
		Nodes: []*topology.Node{
			{Name: "app", Kind: topology.Fleet, Count: 1},
			{Name: "stream", Kind: topology.Broker, Protocol: "kafka"},
			{Name: "worker", Kind: topology.Service, Handlers: []*topology.Handler{{
				Name: "orders", Subscribe: "stream/orders", Policy: policy.Set{
					Retry: retry, Breaker: &policy.Breaker{Failures: 2}, Bulkhead: &policy.Bulkhead{Concurrent: 1},
					DeadLetter: &policy.DeadLetter{Attempts: 3, Channel: "stream/orders.dead"},
				},
			}}},
			{Name: "archive", Kind: topology.Service},
			{Name: "lake", Kind: topology.Store, Protocol: "s3"},
		},
		Channels: []*topology.Channel{{Ref: "stream/orders"}, {Ref: "stream/orders.dead"}},
		Flows: []*topology.Flow{{
			Name: "order", Guarantee: topology.AtLeastOnce, Sinks: []topology.Sink{{Node: "lake"}},
			Paths: [][]topology.Hop{{hop("app"), events, hop("worker"), hop("archive"), hop("lake")}},
		}},
	}
}

// aside is a run of one order, of which some rows are left out.
func aside(dead bool) []history.Event {
	order := func(kind history.Kind, at int64, change func(*history.Event)) history.Event {
		e := history.New(kind, at)
		e.Flow, e.Message, e.Trace = "order", 0, [16]byte{1}
		change(&e)
		return e
	}
	phase := func(name string, at int64) history.Event {
		e := history.New(history.Phase, at)
		e.Step = name
		return e
	}
	code := history.New(history.NodeState, 1)
	code.Node, code.Reason = "worker", history.StateCode
	const second = int64(1e9)
	all := []history.Event{code, phase("steady", 2),
		order(history.Produce, 3, func(e *history.Event) { e.Node = "app" }),
		order(history.Produce, 4, func(e *history.Event) { e.Node, e.Outcome = "app", history.Ok }),
	}
	if !dead {
		all = append(all, order(history.Receive, 5, func(e *history.Event) { e.Node, e.Wire = "archive", "worker -> archive" }),
			order(history.Store, 6, func(e *history.Event) {
				e.Node, e.Wire, e.Outcome = "archive", "archive -> lake", history.Ok
			}))
	}
	return append(all, phase("drain", 7), phase("audit", 3*second),
		order(history.Found, 3*second+1, func(e *history.Event) {
			e.Node, e.Value = "lake", 1
			if dead {
				e.Node, e.Channel = "stream", "stream/orders.dead"
			}
		}),
		history.New(history.Ended, 3*second+2))
}

func TestWhatHappensInsideCodeOfItsOwnIsUnknown(t *testing.T) {
	inside := "a look inside worker: it runs code of its own, which records nothing"
	for name, dead := range map[string]bool{"delivered": false, "dead-lettered": true} {
		checks := []Check{
			Delivery("order"), Trace("order"), Conservation(),
			Retry(RetryParams{Node: "worker", Handler: "orders"}),
			Breaker(BreakerParams{Node: "worker", Handler: "orders"}),
			Bulkhead("worker", "orders", ""), TTL("worker", "orders"),
			DeadLetter(DeadLetterParams{Channel: "stream/orders.dead", Exactly: -1}),
		}
		events := aside(dead)
		iterate := func(yield func(*history.Event) bool) {
			for i := range events {
				if !yield(&events[i]) {
					return
				}
			}
		}
		got := map[string]string{}
		for _, v := range Judge(iterate, checks, Context{Topology: shop()}) {
			got[v.Property] = string(v.Value) + " " + v.Unknown
		}
		want := map[string]string{
			"delivery": "valid ", "trace": "valid ", "conservation": "valid ",
			"retry": "unknown " + inside, "breaker": "unknown " + inside, "bulkhead": "unknown " + inside,
			"ttl": "unknown " + inside, "dead_letter": "unknown " + inside,
		}
		if dead {
			want["trace"] = "unknown messages that reached a sink"
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A sink that is itself unseen keeps what it got to itself; messages that nobody timed have no
// recovery.
func TestASinkThatCannotBeSeenIsUnknown(t *testing.T) {
	shop := shop()
	shop.Flows[0].Sinks[0].Node = "worker"
	l := NewLedger(shop)
	events := aside(false)
	for i := range events {
		l.Observe(&events[i])
	}
	var r ruling
	if n := l.account(l.flow("order"), &r); n.unseen != 1 || n.sink != "worker" || r.found() > 0 {
		t.Errorf("account %+v with %d anomalies, want one message unseen at worker", n, r.found())
	}
	shop.Flows[0].Sinks[0].Node = "lake"
	l = NewLedger(shop)
	for i := range events {
		if events[i].Kind != history.Store {
			l.Observe(&events[i])
		}
	}
	if leg := l.flow("order").untimed(); leg != "lake" {
		t.Errorf("untimed leg %q, want lake", leg)
	}
}
