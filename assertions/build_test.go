package assertions_test

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/assertions/spec"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
)

// plant is a small system with one of everything: a fleet sends flow "t" over two brokers and two
// services into a store, and flow "q" straight to a service that answers.
func plant() *topology.Topology {
	backoff := policy.Backoff{Initial: 50 * time.Millisecond, Factor: 2, Max: time.Second,
		Jitter: 0.2}
	call := &topology.Step{Name: "call api", Kind: topology.Call, Target: "api", Method: "POST",
		Path: "/r",
		Policy: policy.Set{
			Timeout: 300 * time.Millisecond,
			Retry:   &policy.Retry{Attempts: 4, Backoff: backoff, Permanent: []string{"4xx"}},
			Breaker: &policy.Breaker{Failures: 5, Within: 10 * time.Second, Open: 2 * time.Second},
		}}
	return &topology.Topology{
		Name: "plant",
		Nodes: []*topology.Node{
			{Name: "device", Kind: topology.Fleet, Count: 7},
			{Name: "mqtt", Kind: topology.Broker, Protocol: "mqtt"},
			{Name: "rule", Kind: topology.Service, Handlers: []*topology.Handler{{
				Name: "relay", Subscribe: "mqtt/t/:id", Do: []*topology.Step{
					{Name: "publish stream/e", Kind: topology.Publish, Target: "stream/e"}}}}},
			{Name: "stream", Kind: topology.Broker, Protocol: "kafka"},
			{Name: "worker", Kind: topology.Service, Handlers: []*topology.Handler{{
				Name: "records", Subscribe: "stream/e", Do: []*topology.Step{call},
				Policy: policy.Set{DeadLetter: &policy.DeadLetter{Attempts: 3},
					Bulkhead: &policy.Bulkhead{Concurrent: 4}, TTL: 5 * time.Second}}}},
			{Name: "api", Kind: topology.Service, Handlers: []*topology.Handler{{
				Name: "records", HTTP: "POST /r", Do: []*topology.Step{
					{Name: "store lake", Kind: topology.StoreStep, Target: "lake"}}}}},
			{Name: "lake", Kind: topology.Store, Protocol: "s3"},
		},
		Channels: []*topology.Channel{{Ref: "mqtt/t/:id"}, {Ref: "stream/e"}},
		Flows: []*topology.Flow{
			{Name: "t", Key: "device", Guarantee: topology.AtLeastOnce,
				Paths: [][]topology.Hop{{{Node: "device"}, {Node: "mqtt", Channel: "mqtt/t/:id"},
					{Node: "rule"},
					{Node: "stream", Channel: "stream/e"}, {Node: "worker"}, {Node: "api"},
					{Node: "lake"}}},
				Sinks: []topology.Sink{{Node: "lake", Success: 0.99, P99: 500 * time.Millisecond}}},
			{Name: "q", Guarantee: topology.AtLeastOnce, ReplyWithin: time.Second,
				Paths: [][]topology.Hop{{{Node: "device"}, {Node: "api"}}}},
		},
	}
}

// log is a history in the making; times are since the run began.
type log []history.Event

func (l *log) add(kind history.Kind, at time.Duration, set func(*history.Event)) {
	e := history.New(kind, int64(at))
	if set != nil {
		set(&e)
	}
	*l = append(*l, e)
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// Times of every generated history: 200 messages a second while there is load.
const (
	steadyFrom   = 0
	timelineFrom = 2 * time.Second
	recoverFrom  = 6 * time.Second
	drainFrom    = 10 * time.Second
	auditFrom    = 11 * time.Second
	every        = 5 * time.Millisecond
	messages     = int64(drainFrom / every)
)

// valid is a history in which all is well.
func valid() log {
	l := frame()
	for i := range messages {
		l.journey("t", i, time.Duration(i)*every)
		l.audited("t", i)
	}
	return l.sorted()
}

// frame is the phases, the plan's numbers and the end.
func frame() log {
	var l log
	for _, p := range []struct {
		name string
		at   time.Duration
	}{{"steady", steadyFrom}, {"timeline", timelineFrom}, {"recover", recoverFrom}, {"drain",
		drainFrom}, {"audit", auditFrom}} {
		l.add(history.Phase, p.at, func(e *history.Event) { e.Step = p.name })
	}
	l.add(history.Gauge, 0, func(e *history.Event) {
		e.Step, e.Flow, e.Value = "asked", "t",
			messages
	})
	l.add(history.Ended, auditFrom+time.Second, nil)
	return l
}

// about sets the message's fields.
func about(flow string, i int64, set func(*history.Event)) func(*history.Event) {
	return func(e *history.Event) {
		e.Flow, e.Message = flow, i
		e.Trace = [16]byte{1, byte(i), byte(i >> 8), byte(i >> 16)}
		e.Key, e.KeySeq = fmt.Sprint("device-", i%7), i/7
		e.Delivery = 1
		if set != nil {
			set(e)
		}
	}
}

// step sets the fields of a step or handler row that ended well.
func step(node, handler, name, wire string, attempt int32, d time.Duration) func(*history.Event) {
	return func(e *history.Event) {
		e.Node, e.Handler, e.Step, e.Wire = node, handler, name, wire
		e.Attempt, e.Duration, e.Outcome = attempt, int64(d), history.Ok
	}
}

// journey is one message of flow t that goes the whole way.
func (l *log) journey(flow string, i int64, t time.Duration) {
	l.sent(flow, i, t)
	l.relayed(flow, i, t)
	l.received(flow, i, t+ms(6))
	l.add(history.Receive, t+ms(8), about(flow, i, func(e *history.Event) {
		e.Node,
			e.Handler = "api", "records"
	}))
	l.add(history.Store, t+ms(10), about(flow, i, step("api", "records", "store lake",
		"api -> lake", 1, ms(2))))
	l.add(history.Attempt, t+ms(10), about(flow, i, step("api", "records", "", "", 1, ms(2))))
	l.add(history.Call, t+ms(12), about(flow, i, step("worker", "records", "call api",
		"worker -> api", 1, ms(5))))
	l.add(history.Attempt, t+ms(12), about(flow, i, step("worker", "records", "",
		"worker -> stream", 1, ms(6))))
	l.acked(flow, i, t+ms(13))
}

func (l *log) sent(flow string, i int64, t time.Duration) {
	l.add(history.Produce, t, about(flow, i, func(e *history.Event) { e.Node = "device" }))
	l.add(history.Publish, t+ms(2), about(flow, i, func(e *history.Event) {
		step("device", "", "send", "device -> mqtt", 1, ms(2))(e)
		e.Channel = "mqtt/t/:id"
	}))
	l.add(history.Produce, t+ms(2), about(flow, i, func(e *history.Event) {
		e.Node, e.Outcome, e.Duration = "device", history.Ok, int64(ms(2))
	}))
}

func (l *log) relayed(flow string, i int64, t time.Duration) {
	l.add(history.Receive, t+ms(3), about(flow, i, func(e *history.Event) {
		e.Node, e.Handler, e.Channel, e.Wire = "rule", "relay", fmt.Sprint("mqtt/t/", i%7),
			"rule -> mqtt"
	}))
	l.add(history.Publish, t+ms(5), about(flow, i, func(e *history.Event) {
		step("rule", "relay", "publish stream/e", "rule -> stream", 1, ms(1))(e)
		e.Channel = "stream/e"
	}))
	l.add(history.Attempt, t+ms(5), about(flow, i, step("rule", "relay", "", "rule -> mqtt", 1,
		ms(1))))
}

func (l *log) received(flow string, i int64, t time.Duration) {
	l.add(history.Receive, t, about(flow, i, func(e *history.Event) {
		e.Node, e.Handler, e.Channel, e.Wire = "worker", "records", "stream/e", "worker -> stream"
	}))
}

func (l *log) acked(flow string, i int64, t time.Duration) {
	l.add(history.Ack, t, about(flow, i, func(e *history.Event) {
		e.Node, e.Handler, e.Channel, e.Outcome = "worker", "records", "stream/e", history.Ok
	}))
}

func (l *log) audited(flow string, i int64) {
	l.add(history.Found, auditFrom+ms(1), about(flow, i, func(e *history.Event) {
		e.Node,
			e.Value = "lake", 1
	}))
}

// failing is worker's failed tries over one delivery, each after the declared pause; it gives the
// end of the last.
func (l *log) failing(i int64, t time.Duration, reasons ...string) time.Duration {
	for n, reason := range reasons {
		if n > 0 {
			t += 50 * time.Millisecond << (n - 1)
		}
		t += ms(5)
		l.add(history.Call, t, about("t", i, func(e *history.Event) {
			step("worker", "records", "call api", "worker -> api", int32(n+1), ms(5))(e)
			e.Outcome, e.Reason = history.Fail, reason
		}))
	}
	return t
}

// run is worker's run over a delivery.
func (l *log) run(i int64, t time.Duration, attempt int32, outcome history.Outcome, reason string) {
	l.add(history.Attempt, t, about("t", i, func(e *history.Event) {
		step("worker", "records", "", "worker -> stream", attempt, ms(6))(e)
		e.Outcome, e.Reason = outcome, reason
	}))
}

// poisoned is a message whose three runs fail; dead says that it is dead-lettered then.
func (l *log) poisoned(i int64, dead bool) {
	t := time.Duration(i) * every
	l.sent("t", i, t)
	l.relayed("t", i, t)
	l.received("t", i, t+ms(6))
	for n := range 3 {
		l.run(i, t+ms(20+10*n), int32(n+1), history.Fail, "poison")
	}
	if dead {
		l.deadLettered(i, t+ms(50), 3, "poison")
		l.foundDead(i, 1)
	}
	l.acked("t", i, t+ms(51))
}

func (l *log) deadLettered(i int64, t time.Duration, attempt int32, reason string) {
	l.add(history.DeadLetter, t, about("t", i, func(e *history.Event) {
		step("worker", "records", "", "worker -> stream", attempt, ms(1))(e)
		e.Channel, e.Reason = "stream/e.dead", reason
	}))
}

func (l *log) foundDead(i int64, copies int64) {
	l.add(history.Found, auditFrom+ms(2), about("t", i, func(e *history.Event) {
		e.Node, e.Channel, e.Value = "stream", "stream/e.dead", copies
	}))
}

// without drops the rows that match.
func (l log) without(match func(e history.Event) bool) log {
	return slices.DeleteFunc(slices.Clone(l), match)
}

// with puts in more rows.
func (l log) with(more func(*log)) log {
	out := slices.Clone(l)
	more(&out)
	return out.sorted()
}

// changed edits the rows that match.
func (l log) changed(match func(history.Event) bool, change func(*history.Event)) log {
	out := slices.Clone(l)
	for i := range out {
		if match(out[i]) {
			change(&out[i])
		}
	}
	return out.sorted()
}

func (l log) sorted() log {
	slices.SortStableFunc(l, func(a, b history.Event) int { return cmp.Compare(a.At, b.At) })
	return l
}

func (l log) events() iter.Seq[*history.Event] {
	return func(yield func(*history.Event) bool) {
		var e history.Event // one value, reused, as a reader does
		for i := range l {
			e = l[i]
			if !yield(&e) {
				return
			}
		}
	}
}

// is matches the rows of one message, of some kinds (all when none are given), at some node.
func is(i int64, node string, kinds ...history.Kind) func(history.Event) bool {
	return func(e history.Event) bool {
		return e.Message == i && (node == "" || e.Node == node) &&
			(len(kinds) == 0 || slices.Contains(kinds, e.Kind))
	}
}

// implied is the whole default set for the plant.
func implied(t *topology.Topology) []assertions.Check {
	return spec.Checks(spec.Implied(t, []string{"t"}, nil))
}

// findings is every verdict that is not valid: its value, and its anomalies as "kind t-17".
//
// A promise that the history does not come to is left out where it is not wanted.
func findings(verdicts []assertions.Verdict, want map[string][]string) map[string][]string {
	all := map[string][]string{}
	for _, v := range verdicts {
		_, wanted := want[v.Name]
		if v.Value == assertions.Valid || v.Value == assertions.Untested && !wanted {
			continue
		}
		list := []string{string(v.Value)}
		for _, a := range v.Anomalies {
			list = append(list, a.Kind+" "+a.Subject())
		}
		all[v.Name] = list
	}
	return all
}

// expect judges a history with the default set, or the checks given, and compares all that is not
// valid.
func expect(t *testing.T, l log, want map[string][]string,
	checks ...assertions.Check) []assertions.Verdict {
	t.Helper()
	system := plant()
	if len(checks) == 0 {
		checks = implied(system)
	}
	verdicts := assertions.Judge(l.events(), checks, assertions.Context{Topology: system})
	if want == nil {
		want = map[string][]string{}
	}
	if diff := gocmp.Diff(want, findings(verdicts, want)); diff != "" {
		for _, v := range verdicts {
			if v.Value != assertions.Valid {
				t.Logf("%s: %s: %s; needs %s", v.Name, v.Value, v.Summary, v.Unknown)
			}
		}
		t.Errorf("verdicts that are not valid (-want +got):\n%s", diff)
	}
	return verdicts
}
