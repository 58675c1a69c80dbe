package assertions

import (
	"cmp"
	"fmt"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
)

// RetryParams are what a retry assertion may say. The zero value but Node and Handler is the
// promise alone.
type RetryParams struct {
	Node, Handler string
	// Amplification bounds tries ÷ messages on each wire that the handler dials, over the messages of
	// each fault and of the worst 5 s; 0 is no bound.
	Amplification float64
	// Tolerance is how much longer than declared a pause may be, beside the scheduling delay that
	// the harness measured of itself; 0 is DefaultTolerance.
	Tolerance time.Duration
}

// DefaultTolerance is how much longer than declared a pause before a retry may be.
const DefaultTolerance = 250 * time.Millisecond

// shortest is how much shorter than declared a pause may be: clocks are read around it.
const shortest = 2 * time.Millisecond

// Retry judges that one handler, and each of its steps, retries as declared.
//
// Definition, per (delivery, handler, step): tries do not exceed the limit; the pause from one
// failure's end to the next try's start lies within the declared backoff with its jitter, plus a
// tolerance (250 ms and the harness's own scheduling delay at that time; 2 ms towards shorter);
// nothing is tried again after success in that delivery, or after a permanent reason. Amplification
// is tries ÷ messages on each wire, over whatever deliveries and layers they come from, for the
// messages that were due while a fault was in force, or in the worst 5 s of the run: a longer run does
// not heal it. Retries of many messages do not fall into one instant: see herds. Redelivery by the
// broker is counted apart; where the broker dead-letters, no delivery is above its limit.
// Where tries wait in a retry channel they are counted per (message, handler), and no pause there is
// too long: what waits in a channel waits for its consumers too.
//
// Evidence: Attempt, Publish, Call and Store rows. Pauses in which a breaker of the handler was
// open, a fault was on the node, or which may hold a wait for a bulkhead, a rate limit or the pool
// may be longer. Valid: there were tries that failed, and all kept to it. Untested: none failed. Invalid:
// over-retried, short-gap, long-gap, after-success, after-permanent, over-delivered, amplified, or
// herd. Unknown: events were shed.
//
// It cannot see retries inside a client library or a sidecar, which make one row. Cost: one map
// entry for each failing run that is open, a bit for each kind of hop, 2 bytes a message where some
// are tried again, and 88 bytes a retry.
// Source: Brooker, Exponential Backoff and Jitter; Google SRE book, Addressing Cascading Failures.
func Retry(p RetryParams) Check {
	return Check{Name: named("retry", p.Node+"."+p.Handler), Property: "retry", Node: p.Node,
		New: func(l *Ledger, c Context) Checker { return newRetry(l, c.Topology, p) }}
}

type retry struct {
	ledger   *Ledger
	p        RetryParams
	rules    map[string]rule // by step, "" for the handler itself
	open     map[tryKey]try
	excuse   excuses
	late     []lateTry
	r        ruling
	tries    int
	retries  int
	failures int // tries that did not succeed
	excused  int
	again    int // redeliveries
	// deliveries is the broker's limit where it dead-letters by it, 0 for none.
	deliveries int
	waiting    string        // the handler's retry channel, "" for none
	failed     map[tryOf]try // with a retry channel: each attempt that failed, first time
	repeats    repeats
	herds      herds
	batches    bool // messages are worked on and tried together
}

// rule is what one step, or the handler itself, promises.
type rule struct {
	limit     int
	backoff   policy.Backoff
	permanent []string
	waits     bool // a pause may hold a wait for something else
}

// tryKey is one run of a step, or of the handler (step ""), over one delivery.
type tryKey struct {
	subject
	delivery, replica int32
	step              string
}

// try is the last failed try of an open run.
type try struct {
	end       int64
	permanent bool
}

// lateTry is a pause that was too long, to be held against the scheduling delay around it.
type lateTry struct {
	anomaly Anomaly
	window  Window
	excess  time.Duration
}

// mostLate is how many overlong pauses are remembered.
const mostLate = 10_000

func newRetry(l *Ledger, t *topology.Topology, p RetryParams) *retry {
	if p.Tolerance == 0 {
		p.Tolerance = DefaultTolerance
	}
	c := &retry{ledger: l, p: p, rules: map[string]rule{}, open: map[tryKey]try{},
		failed: map[tryOf]try{}, repeats: repeats{}, herds: newHerds(), excuse: newExcuses(p.Node, p.Handler)}
	n := t.Node(p.Node)
	if n == nil {
		return c
	}
	h := n.Handler(p.Handler)
	if h == nil {
		return c
	}
	own := ruleOf(h.Policy)
	own.permanent = permanents(h.Policy, h.Do)
	own.waits = own.waits || n.Pool > 0
	for _, d := range l.routes.deadLetters() {
		switch {
		case d.node != p.Node || d.handler != p.Handler || d.limit == 0:
		case d.native:
			own.limit, c.deliveries = 1, d.limit
		default:
			own.limit = d.limit
		}
	}
	c.rules[""] = own
	c.waiting, c.batches = h.RetryChannel(), h.Batch != nil
	for s := range h.Steps() {
		c.rules[s.Name] = ruleOf(s.Policy)
	}
	return c
}

func ruleOf(set policy.Set) rule {
	r := rule{limit: attempts(set.Retry), waits: set.Bulkhead != nil || set.RateLimit != nil}
	if set.Retry != nil {
		r.backoff, r.permanent = set.Retry.Backoff, set.Retry.Permanent
	}
	return r
}

func (c *retry) Kinds() []history.Kind {
	return []history.Kind{history.Receive, history.Attempt, history.Publish, history.Call,
		history.Store, history.Ack, history.DeadLetter, history.Reject, history.Breaker,
		history.Fault}
}

func (c *retry) Observe(e *history.Event) {
	if e.Kind == history.Breaker || e.Kind == history.Fault {
		c.excuse.observe(e)
		return
	}
	if e.Node != c.p.Node || e.Handler != c.p.Handler || e.Message < 0 {
		return
	}
	k := tryKey{subject: subject{e.Flow, e.Message}, delivery: e.Delivery, replica: e.Replica}
	switch e.Kind {
	case history.Receive:
		if e.Delivery > 1 && e.Channel != "" {
			c.again++ // for a try out of the retry channel too, which its publish takes back
		}
		if c.deliveries > 0 && int(e.Delivery) > c.deliveries {
			c.wrong(e, "", "over-delivered", fmt.Sprintf(
				"was delivered %d times, the broker's limit is %d", e.Delivery, c.deliveries))
		}
	case history.Attempt:
		for step := range c.rules {
			if step != "" {
				k.step = step
				delete(c.open, k)
			}
		}
		k.step = ""
		if c.waiting != "" {
			c.resumed(e)
			return
		}
		c.try(e, k)
	case history.Publish, history.Call, history.Store:
		c.repeats.observe(&c.ledger.now, e.Message)
		k.step = e.Step
		switch {
		case k.step != "":
			c.try(e, k)
		case c.waiting != "" && e.Channel == c.waiting && e.Outcome == history.Ok:
			c.again--
		}
	default:
		delete(c.open, k)
	}
}

// try judges one try against what is known of its run. Only failing runs are remembered: a later
// try of a run that is not means that it had succeeded.
func (c *retry) try(e *history.Event, k tryKey) {
	rule, ok := c.rules[k.step]
	if !ok || e.Attempt <= 0 {
		return
	}
	c.tries++
	c.failures += one(e.Outcome != history.Ok)
	last, failing := c.open[k]
	if e.Attempt > 1 {
		c.retries++
		switch {
		case int(e.Attempt) > rule.limit:
			c.wrong(e, k.step, "over-retried",
				fmt.Sprintf("was tried %d times, the limit is %d", e.Attempt, rule.limit))
		case !failing:
			c.wrong(e, k.step, "after-success",
				fmt.Sprintf("was tried again (%d) after it had succeeded", e.Attempt))
		case last.permanent:
			c.wrong(e, k.step, "after-permanent", "was tried again after a permanent failure")
		default:
			c.gap(e, k, rule, last)
		}
		if failing {
			c.herds.add(c.tryAgain(e, k, rule, last))
		}
	}
	switch {
	case e.Outcome == history.Ok || int(e.Attempt) >= rule.limit:
		delete(c.open, k)
	default:
		c.open[k] = try{end: e.At, permanent: permanent(e.Reason, rule.permanent)}
	}
}

// tryAgain is a try after a failure, as a herd would be made of.
func (c *retry) tryAgain(e *history.Event, k tryKey, rule rule, last try) (herdKey, again) {
	a := again{about: k.subject, failed: last.end, began: e.At - e.Duration}
	a.caller = caller{subject: k.subject}
	if c.batches {
		a.caller = caller{replica: e.Replica, start: a.began}
	}
	least, most := rule.backoff.Pause(int(e.Attempt) - 1)
	return herdKey{k.step, e.Attempt, least, most}, a
}

// gap judges the pause before a try.
func (c *retry) gap(e *history.Event, k tryKey, rule rule, last try) {
	start := e.At - e.Duration
	gap := time.Duration(start - last.end)
	least, most := rule.backoff.Pause(int(e.Attempt) - 1)
	text := fmt.Sprintf("was tried again (%d) after %v, declared %v to %v",
		e.Attempt, gap.Round(time.Millisecond/10), least, most)
	if gap < least-shortest {
		c.wrong(e, k.step, "short-gap", text)
		return
	}
	excess := gap - most - c.p.Tolerance
	if excess <= 0 {
		return
	}
	if rule.waits || c.excuse.covers(e.Replica, last.end) || len(c.late) == mostLate {
		c.excused++
		return
	}
	c.late = append(c.late, lateTry{c.about(e, k.step, "long-gap", text),
		Window{time.Duration(last.end), time.Duration(e.At)}, excess})
}

func (c *retry) wrong(e *history.Event, step, kind, text string) {
	c.r.anomaly(c.about(e, step, kind, text))
}

func (c *retry) about(e *history.Event, step, kind, text string) Anomaly {
	where := place(c.p.Node, c.p.Handler, step)
	return Anomaly{Kind: kind, Flow: e.Flow, Message: e.Message, Where: where,
		Text: fmt.Sprintf("%s-%d (delivery %d) %s at %s, ended %v",
			e.Flow, e.Message, e.Delivery, text, where, seconds(e.At))}
}

func (c *retry) Verdict() Verdict {
	c.r.sound(c.ledger)
	for _, l := range c.late {
		around := Window{l.window.From - time.Second/5, l.window.To + time.Second/5}
		if l.excess > time.Duration(c.ledger.delay(around)) {
			c.r.anomaly(l.anomaly)
			continue
		}
		c.excused++
	}
	if c.retries+c.failures == 0 {
		c.r.trial("a failure in %s.%s, there was none in %d tries", c.p.Node, c.p.Handler, c.tries)
	}
	worst := c.amplification()
	for _, h := range c.herds.find(c.ledger) {
		h.anomaly.Where = place(c.p.Node, c.p.Handler, h.key.step)
		c.r.anomaly(h.anomaly)
	}
	c.r.count("tries", c.tries, "tries")
	c.r.count("retries", c.retries, "tries")
	c.r.count("redeliveries", c.again, "deliveries")
	c.r.count("excused_gaps", c.excused, "gaps")
	c.r.figure("amplification", worst.ratio(), "ratio")
	return c.r.verdict("%d tries, %d of them retries, at most %.2f a message (%s), %d redeliveries",
		c.tries, c.retries, worst.ratio(), cmp.Or(worst.wire, "no wire"), c.again)
}
