package assertions

import (
	"fmt"
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
// Definition: the time from the fault's heal to the first moment from which on, for the whole hold
// time: (1) completed ÷ offered, by intended send time in buckets of 500 ms, is back at its steady
// value; (2) no more than 1 % (one message in a bucket below 100) of each bucket is over the SLO's
// p99; (3) the backlog (offered and not settled) is back within its steady bound
// (half as much again as it was at most, and what comes in one bucket). A first success
// is not recovery. A bucket without messages neither heals nor hurts.
//
// Evidence: Fault rows, Produce rows, arrivals. Valid: the fault bit and healed, and the time is
// within the bound. Invalid: it is longer, or never (late-recovery, naming the last message that
// was unwell). Unknown: no injection, no bite, no heal, load that ended before within + hold had
// passed, a recovery that is late by no more than a delay of the harness explains (20 times as
// much, from 100 ms on), no messages, or shed events.
//
// It cannot resolve times below a bucket. Cost: one pass over the flow's rows and a few words a
// bucket. Source: Google SRE workbook, recovery as sustained; DESIGN of this project, section 9.
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
	line := c.ledger.timeline(f, c.p.Bucket)
	steady := line.norm(c.ledger)
	return c.rule(line, steady, heal, &r)
}

// rule finds the moment of recovery and judges it.
func (c *recovery) rule(line *timeline, steady norm, heal time.Duration, r *ruling) Verdict {
	first := line.index(int64(heal))
	last := line.index(c.ledger.loadEnd()) - 1 // the bucket in which the load ends may be cut short
	hold := int((c.p.Hold + c.p.Bucket - 1) / c.p.Bucket)
	well, worst := first, int64(-1)
	for i := first; i <= last; i++ {
		if ok, message := line.well(i, steady); !ok {
			well, worst = i+1, message
		}
		if i-well+1 >= hold {
			break
		}
	}
	took := max(0, time.Duration(line.start(well))-heal)
	held := last-well+1 >= hold
	r.figure("recovery_time", float64(took), "ns")
	r.figure("steady_share", steady.share, "ratio")
	r.figure("steady_backlog_max", float64(steady.backlog), "messages")
	switch {
	case held && took <= c.p.Within:
		return r.verdict("recovered %v after the heal, allowed %v, held for %v",
			seconds(int64(took)), c.p.Within, c.p.Hold)
	case !held && time.Duration(line.start(last+1)) < heal+c.p.Within+c.p.Hold &&
		took <= c.p.Within:
		r.lack("load for at least %v after the heal: it ended %v after it",
			c.p.Within+c.p.Hold, seconds(int64(time.Duration(line.start(last+1))-heal)))
		return r.verdict("recovery of %s not seen while the load lasted", c.p.Flow)
	}
	c.late(line, Window{heal, time.Duration(line.start(well))}, worst, took, held, r)
	return r.verdict("allowed %v", c.p.Within)
}

func (c *recovery) late(line *timeline, w Window, worst int64, took time.Duration, held bool,
	r *ruling) {
	over := breach{latency: true, excess: took - c.p.Within}
	delay, excused := c.ledger.excuses(w, over)
	if excused || line.onlyLate && delay > delayTolerance {
		r.doubt("a quieter machine: the harness was delayed by %v before the flow was well",
			delay.Round(time.Millisecond))
	}
	text := fmt.Sprintf("%s was well again %v after the heal, allowed %v", c.p.Flow,
		seconds(int64(took)), c.p.Within)
	if !held {
		text = fmt.Sprintf("%s was not well again while the load lasted: %s", c.p.Flow, line.reason)
	}
	r.anomaly(Anomaly{Kind: "late-recovery", Flow: c.p.Flow, Message: worst, Text: text})
}
