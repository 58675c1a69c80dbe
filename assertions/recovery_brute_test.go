package assertions_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
)

// This file computes the recovery of a flow a second time, from the raw events and by brute force, and
// holds the checker against it: over random histories of a flow with a p99, of one without, and of a
// derived one.

// sick is a random history and what is asked of it.
type sick struct {
	log      log
	flow     string
	promised time.Duration // the flow's p99, 0 for none
	params   assertions.RecoveryParams
	system   *topology.Topology
}

const sickHeal = 6 * time.Second

// random is a history in which a fault is in force from 3 s to 6 s, and its flow suffers in up to three
// spans of it and of the time after.
func random(rng *rand.Rand) sick {
	s := sick{flow: "t", promised: 500 * time.Millisecond, system: plant()}
	switch rng.IntN(3) {
	case 1:
		s.promised = 0
	case 2:
		s.flow, s.system = "q", derivedPlant()
	}
	for _, f := range s.system.Flows {
		for i := range f.Sinks {
			f.Sinks[i].P99 = s.promised
		}
	}
	s.params = assertions.RecoveryParams{From: "outage", Flow: s.flow,
		Within: ms(rng.IntN(4000)), Hold: ms(500 + rng.IntN(1500)), Bucket: ms(100 + rng.IntN(400))}
	s.suffer(rng)
	return s
}

// derivedPlant is plant with flow q born of t at the rule, on its way to the same store.
func derivedPlant() *topology.Topology {
	system := plant()
	q := system.Flows[1]
	q.ReplyWithin, q.DerivedFrom = 0, "t"
	q.Paths = [][]topology.Hop{system.Flows[0].Paths[0][2:]}
	q.Sinks = []topology.Sink{{Node: "lake"}}
	return system
}

// span is a time in which a share of the messages is held up, and a share is lost. What is held to
// its end arrives in one instant.
type span struct {
	from, to, late time.Duration
	held, lost     float64
	until          bool // it is held until the end of the span
}

func spans(rng *rand.Rand) []span {
	all := make([]span, rng.IntN(4))
	for i := range all {
		from := ms(3000 + rng.IntN(6000))
		all[i] = span{from: from, to: from + ms(rng.IntN(4000)), late: ms(rng.IntN(3000)), held: 1}
		switch rng.IntN(4) {
		case 0:
			all[i].held = 0.1 * rng.Float64()
		case 1:
			all[i].to, all[i].until = from+ms(100+rng.IntN(400)), true
		}
		if rng.IntN(3) == 0 {
			all[i].lost = rng.Float64()
		}
	}
	return all
}

// hold is how long a message is held up.
func (x span) hold(sent time.Duration, rng *rand.Rand) time.Duration {
	switch {
	case rng.Float64() >= x.held:
		return 0
	case x.until:
		return x.to - sent
	}
	return x.late
}

func (s *sick) suffer(rng *rand.Rand) {
	end := sickHeal + ms(2000+rng.IntN(8000))
	for name, at := range map[string]time.Duration{"steady": 0, "timeline": 3 * time.Second,
		"recover": sickHeal, "drain": end, "audit": end + 5*time.Second} {
		s.log.add(history.Phase, at, func(e *history.Event) { e.Step = name })
	}
	s.log.fault(3*time.Second, "inject", 0)
	s.log.fault(sickHeal, "heal", 7)
	s.log.add(history.Ended, end+6*time.Second, nil)
	all, born, rate := spans(rng), int64(0), 0.2+0.8*rng.Float64()
	pace, usual := ms([]int{10, 25, 50, 200, 700}[rng.IntN(5)]), ms(2+rng.IntN(60))
	for i := int64(0); time.Duration(i)*pace < end; i++ {
		sent := time.Duration(i) * pace
		held, arrives := time.Duration(0), true
		for _, x := range all {
			if sent >= x.from && sent < x.to {
				held = max(held, x.hold(sent, rng))
				arrives = arrives && rng.Float64() >= x.lost
			}
		}
		s.log.sent("t", i, sent)
		switch {
		case s.flow == "t":
			s.log.stored("t", i, sent+usual+held, arrives)
		case arrives && rng.Float64() < rate:
			s.log.born(born, i, sent+held+ms(3))
			s.log.stored("q", born, sent+held+usual+ms(3), true)
			born++
		}
	}
	s.log = s.log.sorted()
}

// stored is the arrival of a message at the lake.
func (l *log) stored(flow string, i int64, at time.Duration, arrives bool) {
	if arrives {
		l.add(history.Store, at, about(flow, i, step("api", "records", "store lake", "api -> lake", 1,
			ms(1))))
	}
}

func (l *log) born(i, parent int64, at time.Duration) {
	l.add(history.Derive, at, about("q", i, func(e *history.Event) {
		e.Node, e.Handler, e.Step = "rule", "relay", "publish stream/e"
		e.ParentFlow, e.Parent = "t", parent
	}))
}

// simple is one message as its events tell: when it was due, sent and there; −1 for never.
type simple struct{ due, sent, there time.Duration }

// simples reads the messages of a flow, and those of the flow that it is born of.
func (s *sick) simples() (own, parents []simple) {
	sent, there := map[string]time.Duration{}, map[string]time.Duration{}
	for _, e := range s.log {
		id := fmt.Sprint(e.Flow, e.Message)
		if e.Kind == history.Produce && e.Outcome == history.None {
			sent[id] = time.Duration(e.At)
		}
		if e.Kind == history.Store {
			there[id] = time.Duration(e.At)
		}
	}
	for _, e := range s.log {
		m := simple{due: time.Duration(e.At), sent: time.Duration(e.At), there: -1}
		if at, ok := there[fmt.Sprint(e.Flow, e.Message)]; ok {
			m.there = at
		}
		begins := e.Kind == history.Produce && e.Outcome == history.None
		switch {
		case begins && e.Flow == s.flow:
			own = append(own, m)
		case begins:
			parents = append(parents, m)
		case e.Kind == history.Derive:
			m.due = sent[fmt.Sprint(e.ParentFlow, e.Parent)]
			own = append(own, m)
		}
	}
	return own, parents
}

// second is what the second computation says: how long recovery took, and the verdict.
type second struct {
	took  time.Duration
	value assertions.Value
}

// steadyTo is the end of the steady phase without its last fifth.
const steadyTo = 2400 * time.Millisecond

// recount is the second computation at work: all questions are answered by looking at all messages.
type recount struct {
	sick
	own, parents, steady []simple
	longest              time.Duration // the steady p99
	gap                  time.Duration // the longest steady time without an arrival
	bound                int           // of the backlog
}

func due(all []simple, from, to time.Duration) (in []simple) {
	for _, m := range all {
		if m.due >= from && m.due < to {
			in = append(in, m)
		}
	}
	return in
}

func (c *recount) waiting(at time.Duration) (n int) {
	for _, m := range c.own {
		n += btoi(m.sent <= at && (m.there < 0 || m.there > at))
	}
	return n
}

func (c *recount) arrived(from, to time.Duration) (n int) {
	for _, m := range c.own {
		n += btoi(m.there >= from && m.there < to)
	}
	return n
}

func newRecount(s *sick) *recount {
	c := &recount{sick: *s, bound: 2}
	c.own, c.parents = s.simples()
	c.steady = due(c.own, 0, steadyTo)
	if len(c.steady) == 0 {
		return c
	}
	c.longest = nearest(c.steady)
	highest, last := 0, time.Duration(0)
	for at := time.Duration(0); at <= steadyTo; at += time.Millisecond {
		if at < steadyTo {
			highest = max(highest, c.waiting(at))
		}
		if at < steadyTo && c.arrived(at, at+1) > 0 {
			last = at
		}
		c.gap = max(c.gap, at-last)
	}
	if c.arrived(0, steadyTo) == 0 {
		c.gap = 0
	}
	c.bound = max(2, highest+highest/2) +
		int(int64(len(c.steady))*int64(s.params.Bucket)/int64(steadyTo))
	return c
}

func (c *recount) late(m simple) bool {
	usual := len(c.steady) > 0 && (c.promised == 0 || c.flow == "q")
	return c.promised > 0 && m.there-m.sent > c.promised ||
		usual && m.there-m.due > 5*c.longest+time.Second
}

func (c *recount) owed(parents int) float64 {
	then := len(due(c.parents, 0, steadyTo))
	return float64(parents) * float64(len(c.steady)) / max(1, float64(then))
}

func (c *recount) few(born, of int) bool {
	then := len(due(c.parents, 0, steadyTo))
	return float64(born) < c.owed(of) &&
		tail(born, born+len(c.steady), float64(of)/float64(of+then)) < 1e-6
}

// unwell says which of the bucket's four ways of being unwell there is; everything completes in the
// steady phase.
func (c *recount) unwell(from, to time.Duration) bool {
	in, missing, lates := due(c.own, from, to), 0, 0
	for _, m := range in {
		missing += btoi(m.there < 0)
		lates += btoi(m.there >= 0 && c.late(m))
	}
	return missing > 0 || len(in) > 0 && c.silent(from, to) || lates > 0 && c.tooLate(from) ||
		c.flow == "q" && float64(len(in)) < c.owed(len(due(c.parents, from, to))) && c.scarce(from)
}

func (c *recount) silent(from, to time.Duration) bool {
	if c.arrived(from, to) > 0 || c.gap == 0 || c.gap > c.params.Bucket/2 {
		return false
	}
	for at := from; at < to; at += time.Millisecond {
		if c.waiting(at) == 0 {
			return false
		}
	}
	return true
}

func (c *recount) tooLate(from time.Duration) bool {
	lates, completed := 0, 0
	for ; from >= sickHeal && completed < 100; from -= c.params.Bucket {
		for _, m := range due(c.own, from, from+c.params.Bucket) {
			completed += btoi(m.there >= 0)
			lates += btoi(m.there >= 0 && c.late(m))
		}
	}
	return lates > max(1, completed/100)
}

func (c *recount) scarce(from time.Duration) bool {
	born, of := 0, 0
	for ; from >= sickHeal && !c.few(0, of); from -= c.params.Bucket {
		born += len(due(c.own, from, from+c.params.Bucket))
		of += len(due(c.parents, from, from+c.params.Bucket))
	}
	return c.few(born, of)
}

// recompute follows the definition in the comment of assertions.Recovery, word by word.
func (s *sick) recompute(drain time.Duration) second {
	c, p := newRecount(s), s.params
	well, ended, seen := sickHeal, sickHeal, 0
	for ended+p.Bucket <= drain {
		from := ended
		ended += p.Bucket
		if c.unwell(from, ended) {
			well = ended
		}
		for at := from; at < ended && well < ended; at += time.Millisecond {
			if c.waiting(at) > c.bound {
				well = max(well, at+time.Millisecond)
			}
		}
		seen = len(due(c.own, well-(well-sickHeal)%p.Bucket, ended))
		if ended-well >= p.Hold && seen >= 20 {
			break
		}
	}
	return s.verdict(well, ended, seen)
}

func (s *sick) verdict(well, ended time.Duration, seen int) second {
	out := second{took: well - sickHeal, value: assertions.Valid}
	held := ended-well >= s.params.Hold
	switch {
	case held && out.took <= s.params.Within && seen < 20:
		out.value = assertions.Unknown
	case held && out.took <= s.params.Within:
	case !held && ended < sickHeal+s.params.Within+s.params.Hold && out.took <= s.params.Within:
		out.value = assertions.Unknown
	default:
		out.value = assertions.Invalid
	}
	return out
}

// nearest is the p99 by the nearest rank, from counting how many took no longer.
func nearest(all []simple) time.Duration {
	best := time.Duration(math.MaxInt64)
	for _, m := range all {
		n := 0
		for _, o := range all {
			n += btoi(o.there-o.due <= m.there-m.due)
		}
		if float64(n) >= 0.99*float64(len(all)) {
			best = min(best, m.there-m.due)
		}
	}
	return best
}

// tail is the probability of at most k successes among n, by adding up one trial after the other.
func tail(k, n int, p float64) float64 {
	chances := make([]float64, n+1)
	chances[0] = 1
	for range n {
		for i := n; i >= 0; i-- {
			chances[i] *= 1 - p
			if i > 0 {
				chances[i] += chances[i-1] * p
			}
		}
	}
	sum := 0.0
	for i := range k + 1 {
		sum += chances[i]
	}
	return sum
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestRecoveryTwice holds the checker against the second computation on 500 random histories: the same
// verdict, and the same time but for one bucket.
func TestRecoveryTwice(t *testing.T) {
	got := map[assertions.Value]int{}
	for seed := range uint64(500) {
		s := random(rand.New(rand.NewPCG(seed, 1)))
		v := assertions.Judge(s.log.events(), []assertions.Check{assertions.Recovery(s.params)},
			assertions.Context{Topology: s.system})[0]
		got[v.Value]++
		if len(v.Figures) < 2 {
			own, _ := s.simples()
			if len(own) > 0 {
				t.Errorf("seed %d: %s %s is no measurement", seed, v.Value, v.Unknown)
			}
			continue
		}
		var drain time.Duration
		for _, e := range s.log {
			if e.Kind == history.Phase && e.Step == "drain" {
				drain = time.Duration(e.At)
			}
		}
		want := s.recompute(drain)
		took := time.Duration(v.Figures[1].Value)
		if v.Value != want.value || (took-want.took).Abs() > s.params.Bucket {
			t.Errorf("seed %d: flow %s %s after %v, by brute force %s after %v: %s %s", seed, s.flow,
				v.Value, took, want.value, want.took, v.Summary, v.Unknown)
		}
	}
	for _, value := range []assertions.Value{assertions.Valid, assertions.Invalid,
		assertions.Unknown} {
		if got[value] < 50 {
			t.Errorf("only %d of 500 histories are %s: they try too little", got[value], value)
		}
	}
	t.Logf("verdicts: %v", got)
}
