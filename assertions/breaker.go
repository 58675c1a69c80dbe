package assertions

import (
	"fmt"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
)

// BreakerParams are what a breaker assertion may say.
type BreakerParams struct {
	Node, Handler, Step string
	// Opens asks that the breaker did open: without it a run that never came to that is valid.
	Opens bool
}

// Breaker judges that a circuit breaker opens, holds and closes as declared.
//
// Definition, per replica: after the declared number of transient failures in a row, all within the
// window, no further try begins (100 ms tolerance) until the breaker has opened; while it is open
// no try begins (100 ms tolerance); it stays open for at least the declared time before it lets a
// trial through; it does not open on fewer failures than declared. A permanent failure is an
// answer: the far end works.
//
// What the harness's own scheduling delay at that time explains is excused and counted.
//
// Evidence: Breaker rows and the rows of the step (Attempt rows for a handler's own). Valid: there
// were enough failures to open it, and all tries kept to it. Untested: there were not. Invalid: not-opened, call-while-open, half-open-early or
// opened-early. Unknown: opening was asked for and there were never enough failures, or
// events were shed.
//
// It cannot see failures in a row that are mixed with successes: some breakers count them by
// window, others not, so only unbroken runs of failures oblige it to open. Cost: the times of the
// last few failures of each replica. Source: Nygard, Release It!, Circuit Breaker.
func Breaker(p BreakerParams) Check {
	return Check{Name: named("breaker", place(p.Node, p.Handler, p.Step)), Property: "breaker", Node: p.Node,
		New: func(l *Ledger, c Context) Checker { return newBreaker(l, c.Topology, p) }}
}

const (
	breakerSlack = int64(100 * time.Millisecond) // between a try that was let through and its start
	openSlack    = int64(10 * time.Millisecond)  // between a change and its row
)

type breaker struct {
	ledger    *Ledger
	p         BreakerParams
	declared  policy.Breaker
	permanent []string
	batch     bool // one try makes a row for each message of a batch
	replicas  map[int32]*circuit
	r         ruling
	doubtful  []delayed
	rows      int
	opened    int
	failures  int
	tried     bool // it opened, or ought to have
}

// circuit is one replica's breaker as the history shows it.
type circuit struct {
	state    string // "", "closed", "open" or "half_open"
	since    int64
	start    int64   // of the last try
	inRow    []int64 // ends of the latest failures in a row, at most as many as open it
	window   []int64 // ends of the latest failures, whatever came between
	due      int64   // when it ought to have opened, 0 for not
	reported bool
	late     int // its place among the doubtful
}

func newBreaker(l *Ledger, t *topology.Topology, p BreakerParams) *breaker {
	c := &breaker{ledger: l, p: p, replicas: map[int32]*circuit{}}
	c.batch = isBatch(t, p.Node, p.Handler)
	set := policySet(t, p.Node, p.Handler, p.Step)
	if set.Breaker != nil {
		c.declared = *set.Breaker
	}
	if set.Retry != nil {
		c.permanent = set.Retry.Permanent
	}
	return c
}

// policySet is what a step declares, or its handler where step is "".
func policySet(t *topology.Topology, node, handler, step string) policy.Set {
	n := t.Node(node)
	if n == nil || n.Handler(handler) == nil {
		return policy.Set{}
	}
	h := n.Handler(handler)
	if step == "" {
		return h.Policy
	}
	for s := range h.Steps() {
		if s.Name == step {
			return s.Policy
		}
	}
	return policy.Set{}
}

func (c *breaker) Kinds() []history.Kind {
	if c.p.Step == "" {
		return []history.Kind{history.Breaker, history.Attempt, history.NodeState}
	}
	return []history.Kind{history.Breaker, history.Publish, history.Call, history.Store,
		history.NodeState}
}

func (c *breaker) Observe(e *history.Event) {
	if e.Node != c.p.Node {
		return
	}
	if e.Kind == history.NodeState {
		if e.Reason == "crash" || e.Reason == "down" {
			delete(c.replicas, e.Replica) // a new process has a new breaker
		}
		return
	}
	if e.Handler != c.p.Handler || e.Step != c.p.Step {
		return
	}
	k := c.replicas[e.Replica]
	if k == nil {
		k = &circuit{}
		c.replicas[e.Replica] = k
	}
	if e.Kind == history.Breaker {
		c.change(k, e)
		return
	}
	c.row(k, e)
}

func (c *breaker) change(k *circuit, e *history.Event) {
	if e.Reason == "open" {
		c.opened++
		c.tried = true
		recent := within(k.window, e.At, int64(c.declared.Within))
		if k.state != "half_open" && recent < c.declared.Failures-1 {
			c.wrong(e, "opened-early",
				fmt.Sprintf("opened after %d failures, declared %d within %v",
					recent, c.declared.Failures, c.declared.Within))
		}
	}
	if e.Reason == "half_open" && k.state == "open" &&
		e.At-k.since < int64(c.declared.Open)-openSlack {
		c.timed(e, k.since+int64(c.declared.Open)-e.At, "half-open-early",
			fmt.Sprintf("let a trial through after %v, declared %v",
				seconds(e.At-k.since), c.declared.Open))
	}
	k.state, k.since, k.due = e.Reason, e.At, 0
	k.inRow, k.reported = k.inRow[:0], false
}

// within counts the times that lie at most a span before now; a span of 0 is no limit.
func within(times []int64, now, span int64) (n int) {
	for _, t := range times {
		if span == 0 || now-t <= span {
			n++
		}
	}
	return n
}

func (c *breaker) row(k *circuit, e *history.Event) {
	if untried(e.Reason) {
		return
	}
	start := e.At - e.Duration
	if c.batch && start == k.start {
		return
	}
	k.start = start
	c.rows++
	switch {
	case k.state == "open" && start > k.since+breakerSlack:
		c.timed(e, start-k.since-breakerSlack, "call-while-open",
			fmt.Sprintf("began a try at %v, open since %v",
				seconds(start), seconds(k.since)))
	case k.due > 0 && start > k.due+breakerSlack && k.reported:
		c.later(k.late, e, start-k.due-breakerSlack)
	case k.due > 0 && start > k.due+breakerSlack:
		k.reported, k.late = true, len(c.doubtful)
		c.timed(e, start-k.due-breakerSlack, "not-opened",
			fmt.Sprintf("began a try at %v, after %d failures in a row by %v",
				seconds(start), c.declared.Failures, seconds(k.due)))
	}
	if e.Outcome == history.Ok || permanent(e.Reason, c.permanent) {
		k.inRow, k.due, k.reported = k.inRow[:0], 0, false
		return
	}
	if e.Reason == "crash" || e.Reason == "stopped" {
		return
	}
	c.failures++
	k.inRow = lastOf(append(k.inRow, e.At), c.declared.Failures)
	k.window = lastOf(append(k.window, e.At), c.declared.Failures)
	if k.due == 0 && k.state != "open" && len(k.inRow) >= max(1, c.declared.Failures) &&
		within(k.inRow, e.At, int64(c.declared.Within)) == len(k.inRow) {
		k.due, c.tried = e.At, true
	}
}

// lastOf keeps the last n of a list.
func lastOf(list []int64, n int) []int64 {
	if n = max(1, n); len(list) > n {
		list = append(list[:0], list[len(list)-n:]...)
	}
	return list
}

// delayed is an anomaly that a delay of the harness may explain, by so much.
type delayed struct {
	anomaly Anomaly
	at      time.Duration
	excess  time.Duration
}

// timed keeps an anomaly of time until the harness's own delay around it is known.
func (c *breaker) timed(e *history.Event, excess int64, kind, text string) {
	if len(c.doubtful) < mostLate {
		c.doubtful = append(c.doubtful,
			delayed{c.about(e, kind, text), time.Duration(e.At), time.Duration(excess)})
	}
}

// later notes that an anomaly of time went on: a breaker that should have opened is the further from
// it the later it still lets tries through.
func (c *breaker) later(i int, e *history.Event, excess int64) {
	if i < len(c.doubtful) {
		c.doubtful[i].at, c.doubtful[i].excess = time.Duration(e.At), time.Duration(excess)
	}
}

// settle takes the anomalies of time that the harness's own delay does not explain.
func (c *breaker) settle() (excused int) {
	for _, d := range c.doubtful {
		around := Window{d.at - time.Second, d.at + time.Second}
		if d.excess > time.Duration(c.ledger.delay(around)) {
			c.r.anomaly(d.anomaly)
			continue
		}
		excused++
	}
	return excused
}

func (c *breaker) wrong(e *history.Event, kind, text string) {
	c.r.anomaly(c.about(e, kind, text))
}

func (c *breaker) about(e *history.Event, kind, text string) Anomaly {
	where := place(c.p.Node, c.p.Handler, c.p.Step)
	a := Anomaly{Kind: kind, Flow: e.Flow, Message: e.Message, Where: where,
		Text: fmt.Sprintf("the breaker of %s, replica %d, %s", where, e.Replica, text)}
	if e.Message < 0 {
		a.Events = []history.Event{*e}
	}
	return a
}

func (c *breaker) Verdict() Verdict {
	c.r.sound(c.ledger)
	where := place(c.p.Node, c.p.Handler, c.p.Step)
	switch {
	case c.p.Opens && c.opened == 0:
		c.r.lack("enough failures of %s to open its breaker", where)
	case !c.tried:
		c.r.trial("%d failures in a row of %s, there were %d failures of %d tries",
			max(1, c.declared.Failures), where, c.failures, c.rows)
	}
	c.r.count("tries", c.rows, "tries")
	c.r.count("failures", c.failures, "tries")
	c.r.count("opened", c.opened, "times")
	c.r.count("excused_by_delay", c.settle(), "tries")
	return c.r.verdict("opened %d times over %d failures of %d tries", c.opened, c.failures, c.rows)
}
