package assertions_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
)

// calls writes worker's tries of its call: many messages fail, each after failed, and are tried again
// once after a pause.
func calls(n int, failed func(i int) time.Duration, pause func(i int) time.Duration) log {
	var l log
	for i := range n {
		for attempt, at := range []time.Duration{failed(i), failed(i) + pause(i) + ms(1)} {
			l.add(history.Call, at, about("t", int64(i), func(e *history.Event) {
				step("worker", "records", "call api", "worker -> api", int32(attempt+1), ms(1))(e)
				if attempt == 0 {
					e.Outcome, e.Reason = history.Fail, "reset"
				}
			}))
		}
	}
	return l.sorted()
}

// spreadOver is a pause of the plant's declared backoff, 50 ms and its jitter of 0.2.
func spreadOver(rng *rand.Rand) func(int) time.Duration {
	return func(int) time.Duration { return ms(40) + time.Duration(rng.Int64N(int64(ms(20)))) }
}

func fixed(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }

func paced(d time.Duration) func(int) time.Duration {
	return func(i int) time.Duration { return time.Second + time.Duration(i)*d }
}

// bunched is failures in bursts of so many, 300 ms apart.
func bunched(n int) func(int) time.Duration {
	return func(i int) time.Duration {
		return time.Second + time.Duration(i/n)*ms(300) + time.Duration(i%n)*time.Microsecond
	}
}

func herdOf(l log, retry func(*log)) []string { return herdIn(plant(), l, retry) }

func herdIn(system *topology.Topology, l log, retry func(*log)) []string {
	if retry != nil {
		l = l.with(retry)
	}
	v := assertions.Judge(l.events(), []assertions.Check{assertions.Retry(assertions.RetryParams{
		Node: "worker", Handler: "records"})}, assertions.Context{Topology: system})
	return findings(v, nil)["retry[worker.records]"]
}

func TestHerd(t *testing.T) {
	cases := []struct {
		name  string
		log   log
		extra func(*log)
		herd  bool
	}{
		{"herd/40 fail together, no jitter", calls(40, bunched(40), fixed(ms(50))), nil, true},
		{"herd/ten fail together, no jitter", calls(10, bunched(10), fixed(ms(50))), nil, true},
		{"herd/bursts of 20, no jitter", calls(200, bunched(20), fixed(ms(50))), nil, true},
		{"herd/half of them have no jitter", calls(100, bunched(100), func(i int) time.Duration {
			return ms(50) - time.Duration(i%2*(i/2%100))*ms(10)/100
		}), nil, true},
		{"no herd/nine fail together, no jitter", calls(9, bunched(9), fixed(ms(50))), nil, false},
		{"no herd/one each 1 ms, no jitter", calls(500, paced(ms(1)), fixed(ms(50))), nil, false},
		{"no herd/one each 20 ms, no jitter", calls(100, paced(ms(20)), fixed(ms(50))), nil, false},
		{"no herd/40 fail together, each waits its turn", calls(40, bunched(40),
			func(i int) time.Duration { return ms(40) + time.Duration(i)*ms(20)/40 }), nil, false},
		{"no herd/they wait longer than the backoff, as for a breaker", calls(40, bunched(40),
			fixed(ms(150))), nil, false},
		{"no herd/the harness stood still", calls(40, bunched(40), fixed(ms(50))), stood(ms(800)),
			false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := herdOf(c.log, c.extra)
			if found := len(got) > 1 && strings.HasPrefix(got[1], "herd t-"); found != c.herd ||
				!found && got != nil {
				t.Errorf("found %v", got)
			}
		})
	}
}

// TestHerdThatIsDeclared tries backoffs without jitter: a pause that all keep makes a herd of many.
func TestHerdThatIsDeclared(t *testing.T) {
	cases := []struct {
		name    string
		callers int
		pause   time.Duration
		herd    bool
	}{
		{"herd/twenty after the same pause", 20, ms(50), true},
		{"no herd/nineteen after the same pause", 19, ms(50), false},
		{"no herd/forty that do not wait", 40, 0, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			system := plant()
			for _, n := range system.Nodes {
				if h := n.Handler("records"); h != nil && n.Name == "worker" {
					h.Do[0].Policy.Retry.Backoff = policy.Backoff{Initial: c.pause}
				}
			}
			got := herdIn(system, calls(c.callers, bunched(c.callers), fixed(c.pause)), nil)
			if found := len(got) > 1 && got[1] == "herd t-0"; found != c.herd || !found && got != nil {
				t.Errorf("found %v", got)
			}
		})
	}
}

// TestHerdOfABatch asks that the rows of one batch are one caller.
func TestHerdOfABatch(t *testing.T) {
	l := calls(40, func(int) time.Duration { return time.Second }, fixed(ms(50)))
	system := plant()
	for _, n := range system.Nodes {
		if h := n.Handler("records"); h != nil && n.Name == "worker" {
			h.Batch = &topology.Batch{Channel: "stream/e", Size: 100, Every: ms(500)}
		}
	}
	v := assertions.Judge(l.events(), []assertions.Check{assertions.Retry(assertions.RetryParams{
		Node: "worker", Handler: "records"})}, assertions.Context{Topology: system})
	if v[0].Value != assertions.Valid {
		t.Errorf("%s: %s %v", v[0].Value, v[0].Summary, v[0].Anomalies)
	}
}

// TestHerdAndChance holds the statistic against 500 schedules with the declared jitter, in
// which there is no herd, and against as many without, in which there is one.
func TestHerdAndChance(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 2))
		n := 10 + rng.IntN(190)
		burst := bunched(10 + rng.IntN(n))
		if got := herdOf(calls(n, burst, spreadOver(rng)), nil); got != nil {
			t.Errorf("seed %d: with jitter %v", seed, got)
		}
		if got := herdOf(calls(n, burst, fixed(ms(40+rng.IntN(20)))), nil); got == nil {
			t.Errorf("seed %d: without jitter nothing", seed)
		}
	}
}

func TestReconnects(t *testing.T) {
	const name = "retry[device.reconnect]"
	back := func(n int, broken, after func(i int) time.Duration) log {
		l := frame()
		for i := range n {
			for reason, at := range map[string]time.Duration{"disconnect": broken(i),
				"connect": broken(i) + after(i)} {
				l.add(history.NodeState, at, func(e *history.Event) {
					e.Node, e.Wire, e.Replica, e.Reason = "device", "device -> mqtt", int32(i), reason
				})
			}
		}
		return l.sorted()
	}
	rng := rand.New(rand.NewPCG(3, 3))
	cases := []struct {
		name string
		log  log
		want map[string][]string
	}{
		{"reconnect/all at once after the same pause/herd", back(50, bunched(50), fixed(ms(100))),
			only(name, "invalid", "herd device -> mqtt")},
		{"reconnect/spread by the jitter/valid", back(50, bunched(50), func(int) time.Duration {
			return ms(50 + rng.IntN(100))
		}), nil},
		{"reconnect/all at once when the broker is back/valid", back(50, bunched(50),
			fixed(2*time.Second)), nil},
		{"reconnect/one after the other/valid", back(50, paced(ms(20)), fixed(ms(100))), nil},
		{"reconnect/nobody was cut off/unknown", frame(), only(name, "unknown")},
	}
	system := plant()
	system.Nodes[0].Session.Reconnect = policy.Backoff{Initial: ms(100), Factor: 2, Jitter: 0.5}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := assertions.Judge(c.log.events(), []assertions.Check{assertions.Reconnects("device")},
				assertions.Context{Topology: system})
			want := c.want
			if want == nil {
				want = map[string][]string{}
			}
			if diff := gocmp.Diff(want, findings(v, nil)); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", v[0].Summary, v[0].Unknown, diff)
			}
		})
	}
}

func TestAmplificationInWindows(t *testing.T) {
	// one message each 50 ms; those of the first second of the fault are tried four times
	run := func(last time.Duration, retried func(sent time.Duration) bool) log {
		l := outage(7, unhurt).without(func(e history.Event) bool { return e.Message >= 0 })
		for i := int64(0); time.Duration(i)*ms(50) < last; i++ {
			sent := time.Duration(i) * ms(50)
			l.sent("t", i, sent)
			if retried(sent) {
				l.failing(i, sent+ms(5), "5xx", "5xx", "5xx")
				continue
			}
			l.add(history.Call, sent+ms(10), about("t", i, step("worker", "records", "call api",
				"worker -> api", 1, ms(5))))
		}
		return l.sorted()
	}
	within := func(from, to time.Duration) func(time.Duration) bool {
		return func(sent time.Duration) bool { return sent >= from && sent < to }
	}
	cases := []struct {
		name  string
		log   log
		ratio float64
		want  map[string][]string
	}{
		{"amplification/all of a fault's messages/over the fault",
			run(10*time.Second, within(3*time.Second, 5*time.Second)), 3,
			only("retry[worker.records]", "invalid", "amplified worker -> api")},
		{"amplification/the same, and a longer run/the same",
			run(60*time.Second, within(3*time.Second, 5*time.Second)), 3,
			only("retry[worker.records]", "invalid", "amplified worker -> api")},
		{"amplification/5 s without a fault/over the 5 s",
			run(60*time.Second, within(22*time.Second, 27*time.Second)), 3,
			only("retry[worker.records]", "invalid", "amplified worker -> api")},
		{"amplification/the last 5 s/over them",
			run(20*time.Second, within(15*time.Second, 20*time.Second)), 3,
			only("retry[worker.records]", "invalid", "amplified worker -> api")},
		{"amplification/2 s without a fault/over 5 s",
			run(60*time.Second, within(22*time.Second, 24*time.Second)), 1.8, nil},
		{"amplification/one message of a fault/over 20 messages",
			run(10*time.Second, within(3*time.Second, ms(3050))), 1.05, nil},
	}
	check := assertions.Retry(assertions.RetryParams{Node: "worker", Handler: "records",
		Amplification: 2})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := expect(t, c.log, c.want, check)
			for _, f := range v[0].Figures {
				if f.Name == "amplification" && (f.Value-c.ratio > 1e-9 || c.ratio-f.Value > 1e-9) {
					t.Errorf("amplification %v, want %v", f.Value, c.ratio)
				}
			}
		})
	}
}
