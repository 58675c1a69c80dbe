package assertions_test

import (
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
)

// gone drops, of the messages sent in a span, what happens from the worker on.
func gone(l log, from, to time.Duration) log {
	return l.without(func(e history.Event) bool {
		sent := time.Duration(e.Message) * every
		return e.Message >= 0 && sent >= from && sent < to && (e.Node == "api" || e.Node == "lake")
	})
}

func TestSLO(t *testing.T) {
	blast := func(flows ...string) map[string]assertions.Blast {
		b := assertions.Blast{Flows: map[string]time.Duration{}}
		for _, f := range flows {
			b.Flows[f] = 0
		}
		return map[string]assertions.Blast{"outage": b}
	}
	recovering := blast("t")
	recovering["outage"].Flows["t"] = 4 * time.Second
	failed, late := []string{"invalid", "failed t-400"}, []string{"invalid", "late t-1420"}
	slow := outage(7, func(_ int64, sent time.Duration) time.Duration {
		if sent >= 7100*time.Millisecond && sent < 8*time.Second {
			return time.Second
		}
		return 0
	})
	none := plant()
	none.Flows[0].Guarantee = topology.AtMostOnce
	none.Flows[0].Sinks[0] = topology.Sink{Node: "lake", P99: time.Second}
	for name, c := range map[string]struct {
		log    log
		system *topology.Topology
		blast  map[string]assertions.Blast
		want   []string
	}{
		"slo/all well/valid":                                {valid(), nil, nil, nil},
		"slo/refused without any fault/failed":              {gone(valid(), 2*time.Second, 3*time.Second), nil, nil, failed},
		"slo/few of many/valid":                             {gone(valid(), 2*time.Second, 2050*time.Millisecond), nil, nil, nil},
		"slo/gone within the blast radius/valid":            {gone(outage(7, unhurt), 3*time.Second, 5*time.Second), nil, blast("t"), nil},
		"slo/gone though nothing grants it/failed":          {gone(outage(7, unhurt), 3*time.Second, 5*time.Second), nil, nil, []string{"invalid", "failed t-600"}},
		"slo/gone outside of the blast radius/failed":       {gone(outage(7, unhurt), 3*time.Second, 5*time.Second), nil, blast("q"), []string{"invalid", "failed t-600"}},
		"slo/gone before the fault/failed":                  {gone(outage(7, unhurt), 2*time.Second, 2400*time.Millisecond), nil, blast("t"), failed},
		"slo/on its way when the fault begins/valid":        {gone(outage(7, unhurt), 2600*time.Millisecond, 3*time.Second), nil, blast("t"), nil},
		"slo/late in the grace time/valid":                  {outage(7, queued(6800*time.Millisecond)), nil, blast("t"), nil},
		"slo/late after the grace time/late":                {slow, nil, blast("t"), late},
		"slo/late while a recovery is granted longer/valid": {slow, nil, recovering, nil},
		"slo/at most once and nothing arrives/failed":       {gone(valid(), 0, time.Hour), none, nil, []string{"invalid", "failed t-0"}},
		"slo/all aside/untested": {outage(7, unhurt), nil, map[string]assertions.Blast{
			"outage": {Flows: map[string]time.Duration{"t": time.Hour}}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			system := c.system
			if system == nil {
				system = plant()
			}
			v := assertions.Judge(c.log.events(), []assertions.Check{assertions.SLO("t")},
				assertions.Context{Topology: system, Blast: c.blast})
			got := findings(v, nil)["slo[t]"]
			if len(got) > 2 {
				got = got[:2]
			}
			if diff := gocmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s, %s: (-want +got):\n%s", v[0].Summary, v[0].Unknown, diff)
			}
		})
	}
}

func TestARequestWithoutAnAnswerBreaksItsReply(t *testing.T) {
	for name, c := range map[string]struct {
		unanswered int64 // the first so many of 200
		refused    bool
		want       []string
	}{
		"reply/all answered/valid":           {0, false, nil},
		"reply/one of 200 is granted/valid":  {1, false, nil},
		"reply/ten without an answer/failed": {10, false, []string{"invalid", "failed q-0"}},
		"reply/ten were told no/valid":       {10, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l := frame()
			for i := range int64(200) {
				at := time.Duration(i) * 10 * every
				l.add(history.Produce, at, about("q", i, nil))
				switch {
				case i >= c.unanswered:
					l.add(history.Reply, at+ms(20), about("q", i, func(e *history.Event) { e.Outcome = history.Ok }))
				case c.refused:
					l.add(history.Produce, at+ms(20), about("q", i, func(e *history.Event) { e.Outcome = history.Fail }))
				}
			}
			v := assertions.Judge(l.sorted().events(), []assertions.Check{assertions.SLO("q")},
				assertions.Context{Topology: plant()})
			if diff := gocmp.Diff(c.want, findings(v, nil)["slo[q]"]); diff != "" {
				t.Errorf("%s: (-want +got):\n%s", v[0].Summary, diff)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		log  log
		want assertions.Value
	}{
		"faults/it bit/valid":               {outage(7, unhurt), assertions.Valid},
		"faults/it touched nothing/unknown": {outage(0, unhurt), assertions.Unknown},
		"faults/never injected/unknown":     {valid(), assertions.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			v := assertions.Judge(c.log.events(), []assertions.Check{assertions.Faults("outage")},
				assertions.Context{Topology: plant()})
			if v[0].Value != c.want {
				t.Errorf("%s: %s", v[0].Value, v[0].Summary)
			}
		})
	}
}

// Each promise is untested in a run in which all is well, and valid once something came of what it is
// about.
func TestUntestedPromises(t *testing.T) {
	at := time.Duration(hit) * every
	crowd := valid().with(func(l *log) {
		for i := range int64(2) {
			l.run(hit+7*i, at+ms(200), 1, history.Ok, "")
		}
	})
	opened := valid().with(func(l *log) {
		for i := range int64(5) {
			l.add(history.Call, at+ms(int(i)), about("t", hit+i, func(e *history.Event) {
				step("worker", "records", "call api", "worker -> api", 1, ms(1))(e)
				e.Outcome, e.Reason = history.Fail, "timeout"
			}))
		}
		l.add(history.Breaker, at+ms(5), func(e *history.Event) {
			e.Node, e.Handler, e.Step, e.Reason = "worker", "records", "call api", "open"
		})
		l.add(history.Breaker, at+2*time.Second+ms(10), func(e *history.Event) {
			e.Node, e.Handler, e.Step, e.Reason = "worker", "records", "call api", "half_open"
		})
		l.add(history.Breaker, at+2*time.Second+ms(20), func(e *history.Event) {
			e.Node, e.Handler, e.Step, e.Reason = "worker", "records", "call api", "closed"
		})
	}).without(func(e history.Event) bool {
		sent := time.Duration(e.Message) * every
		return e.Kind == history.Call && e.Outcome == history.Ok && sent >= at && sent < at+2100*time.Millisecond
	})
	expired := valid().with(func(l *log) {
		l.add(history.Expire, at+5*time.Second+ms(200), about("t", hit, step("worker", "records", "", "", 0, 0)))
	})
	tested := map[string]log{
		"order[t]":                         valid().changed(is(hit, "api", history.Store), func(e *history.Event) { e.At += int64(ms(30)) }),
		"retry[worker.records]":            tried(ms(50), "timeout"),
		"breaker[worker.records/call api]": opened,
		"bulkhead[worker.records]":         crowd,
		"ttl[worker.records]":              expired,
		"dead_letter[stream/e.dead]":       valid().without(is(hit, "")).with(func(l *log) { l.poisoned(hit, true) }),
	}
	values := func(l log) map[string]assertions.Value {
		all := map[string]assertions.Value{}
		for _, v := range assertions.Judge(l.events(), implied(plant()), assertions.Context{Topology: plant()}) {
			all[v.Name] = v.Value
			if v.Value == assertions.Untested && v.Untested == "" {
				t.Errorf("%s does not say what would test it", v.Name)
			}
		}
		return all
	}
	well := values(valid())
	var untested []string
	for name, value := range well {
		if value == assertions.Untested {
			untested = append(untested, name)
		}
	}
	slices.Sort(untested)
	want := []string{"breaker[worker.records/call api]", "bulkhead[worker.records]",
		"dead_letter[stream/e.dead]", "order[t]", "retry[worker.records]", "ttl[worker.records]"}
	if diff := gocmp.Diff(want, untested); diff != "" {
		t.Errorf("untested where all is well (-want +got):\n%s", diff)
	}
	for name, l := range tested {
		if got := values(l)[name]; got != assertions.Valid {
			t.Errorf("%s is %s once it was tried", name, got)
		}
	}
}
