package assertions

import (
	"fmt"
	"slices"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
)

// RecoveryParams are what a recovery assertion says.
type RecoveryParams struct {
	Name   string        // "" is "recovery[<flow>]"
	From   string        // the fault whose heal the time counts from
	Flow   string        //
	Within time.Duration // the longest it may take; 0 is DefaultWithin
	Hold   time.Duration // how long it must stay well; 0 is DefaultHold
	Bucket time.Duration // over which shares and latencies are taken; 0 is DefaultBucket
}

// Defaults of a recovery assertion.
const (
	DefaultWithin = 5 * time.Second
	DefaultHold   = 2 * time.Second
	DefaultBucket = 500 * time.Millisecond
)

// Recovery judges how long a flow takes to be well again.
//
// Definition: the time from the fault's heal (of its last target) to the first moment from which on
// the flow is well, for the whole hold time and for at least 20 messages. From the heal on time is
// cut into buckets of 500 ms, the last one ends before the load does; a message is in the bucket in
// which it was due: its intended send time, or its parent's if it was derived. A bucket is not well
//
//  1. when fewer of its messages completed, whenever that was, than the steady share of them,
//     rounded up to a whole message;
//  2. when it has load and nothing arrived in it, although something waited all along and the
//     steady state had an arrival in each half of a bucket's time;
//  3. when one of its messages was late, and of the last 100 that completed (the buckets back to the
//     heal, this one included, until they are 100) more than 1 % were, and more than one. Late is
//     after the leg's p99; without one, and for a derived message as well, after 5 times its own
//     steady p99 and one second more, counted from when it was due;
//  4. in a derived flow, when fewer were born of the parents sent in it than at the steady rate, and
//     so few of those in the buckets up to it that chance explains it once in a million times (given
//     how many were born in the steady phase; buckets are added back to the heal until no birth at
//     all would be so unlikely).
//
// The backlog (sent or born, and not settled) is followed from event to event. It is not well while
// it is above its steady bound: half as much again as it was at most in the steady phase, 2 at
// least, and what came there in one bucket's time. The moment of recovery is the end of the last
// unwell bucket, or the moment at which the backlog was last above its bound. A first success is not
// recovery. A bucket without messages neither heals nor hurts.
//
// Evidence: Fault rows, Produce and Derive rows, arrivals. Valid: the fault bit and healed, and the
// time is within the bound. Invalid: it is longer, or never (late-recovery, naming the last message
// that was unwell). Unknown: no injection, no bite, no heal, load that ended before within + hold had
// passed, fewer than 20 messages from the recovery on until the load ended or the next fault was
// injected, a recovery that is late by no more than a delay of the harness explains (20 times as
// much, from 100 ms on), no messages, or shed events.
//
// It cannot resolve shares and latencies below a bucket. Cost: a few passes over the flow's rows, a
// few words a bucket, and for a while 16 bytes a message.
// Source: Google SRE workbook, recovery as sustained; DESIGN of this project, section 9.
func Recovery(p RecoveryParams) Check {
	if p.Name == "" {
		p.Name = named("recovery", p.Flow)
	}
	return Check{Name: p.Name, Property: "recovery", Flow: p.Flow,
		New: func(l *Ledger, _ Context) Checker { return &recovery{ledger: l, p: p.filled()} }}
}

func (p RecoveryParams) filled() RecoveryParams {
	if p.Within == 0 {
		p.Within = DefaultWithin
	}
	if p.Hold == 0 {
		p.Hold = DefaultHold
	}
	if p.Bucket == 0 {
		p.Bucket = DefaultBucket
	}
	return p
}

type recovery struct {
	ledger *Ledger
	p      RecoveryParams
}

func (c *recovery) Kinds() []history.Kind  { return nil }
func (c *recovery) Observe(*history.Event) {}

func (c *recovery) Verdict() Verdict {
	var r ruling
	r.sound(c.ledger)
	spans := c.ledger.bitten(c.p.From, &r)
	f := c.ledger.flow(c.p.Flow)
	if f == nil || f.begun == 0 {
		r.lack("messages: flow %q has none in this run", c.p.Flow)
		return r.verdict("no message of flow %s", c.p.Flow)
	}
	if leg := f.untimed(); leg != "" {
		r.doubt("times of arrival at %s: messages were only found there when the run was over", leg)
	}
	if len(spans) == 0 || !spans[len(spans)-1].Healed {
		return r.verdict("recovery of %s not measured", c.p.Flow)
	}
	var heal time.Duration
	for _, s := range spans {
		heal = max(heal, s.To)
	}
	line := c.ledger.timeline(f, heal, c.p.Bucket)
	return c.rule(line, &r)
}

// moment is when a flow was well again, as far as the load lasted.
type moment struct {
	well    int64 // since the run began
	held    bool  // it was well from then on for the hold time
	seen    int   // messages from then on until looking ended
	message int64 // the last one that was unwell, −1 for none
}

// search looks at each bucket until the flow was well for long enough.
func (c *recovery) search(line *timeline) moment {
	m := moment{well: line.from, message: -1}
	for i := range line.buckets {
		b := &line.buckets[i]
		m.seen += b.offered
		if until := line.unwell(i); until > 0 {
			m.well, m.seen = until, 0
			if until < line.start(i+1) {
				m.seen = b.offered
			}
			if b.failed >= 0 {
				m.message = b.failed
			}
		}
		end := line.start(i + 1)
		m.held = end-m.well >= int64(c.p.Hold)
		if m.held && (m.seen >= leastCompared || c.ledger.breaks(end, end+line.width)) {
			break
		}
	}
	return m
}

// breaks says whether a fault is injected in a span of the run.
func (l *Ledger) breaks(from, to int64) bool {
	return slices.ContainsFunc(l.faults, func(s FaultSpan) bool {
		return int64(s.From) >= from && int64(s.From) < to
	})
}

// rule finds the moment of recovery and judges it.
func (c *recovery) rule(line *timeline, r *ruling) Verdict {
	m := c.search(line)
	heal, ended := time.Duration(line.from), line.start(len(line.buckets))
	took := time.Duration(m.well) - heal
	r.figure("recovery_time", float64(took), "ns")
	r.figure("steady_share", line.steady.share, "ratio")
	r.figure("steady_backlog_max", float64(line.steady.backlog), "messages")
	switch {
	case m.held && took <= c.p.Within:
		if m.seen < leastCompared {
			r.lack("%d messages of %s from its recovery on, there were %d", leastCompared,
				c.p.Flow, m.seen)
		}
		return r.verdict("recovered %v after the heal, allowed %v, held for %v",
			seconds(int64(took)), c.p.Within, c.p.Hold)
	case !m.held && time.Duration(ended) < heal+c.p.Within+c.p.Hold && took <= c.p.Within:
		r.lack("load for at least %v after the heal: it ended %v after it",
			c.p.Within+c.p.Hold, seconds(ended-int64(heal)))
		return r.verdict("recovery of %s not seen while the load lasted", c.p.Flow)
	}
	c.late(line, m, r)
	return r.verdict("allowed %v", c.p.Within)
}

func (c *recovery) late(line *timeline, m moment, r *ruling) {
	took := time.Duration(m.well - line.from)
	over := breach{latency: true, excess: took - c.p.Within}
	delay, excused := c.ledger.excuses(Window{time.Duration(line.from), time.Duration(m.well)}, over)
	if excused || line.onlyLate && delay > delayTolerance {
		r.doubt("a quieter machine: the harness was delayed by %v before the flow was well",
			delay.Round(time.Millisecond))
	}
	text := fmt.Sprintf("%s was well again %v after the heal, allowed %v: until then, %s", c.p.Flow,
		seconds(int64(took)), c.p.Within, line.reason)
	if !m.held {
		text = fmt.Sprintf("%s was not well again while the load lasted: %s", c.p.Flow, line.reason)
	}
	r.anomaly(Anomaly{Kind: "late-recovery", Flow: c.p.Flow, Message: m.message, Text: text})
}
