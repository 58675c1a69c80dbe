package diagnose

import (
	"cmp"
	"slices"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
)

// operation is one thing that a node does: a step over a wire, a handler's run (wire ""), a
// source's send, or taking deliveries from a channel and giving them back. It is the unit that
// signs are kept for.
type operation struct {
	kind    string // "step", "run", "send", "receive", "ack" or "connection"
	node    string
	handler string // the flow for a send
	step    string // the channel for a receive or ack
	wire    string
}

// name is the operation for people.
func (o operation) name(t *topology.Topology) string {
	node := t.Short(o.node)
	switch o.kind {
	case "step":
		return node + "." + o.handler + "/" + o.step
	case "run":
		if o.handler == "" {
			return node // as a whole
		}
		return node + "." + o.handler
	case "send":
		return node + " sending " + o.handler
	case "receive":
		return node + "." + o.handler + " receiving"
	case "ack":
		return node + "." + o.handler + " acknowledging"
	}
	return node + " connected over " + o.wire
}

// width of the buckets in which shares are taken.
const width = 500 * time.Millisecond

// What it takes to be a sign: in one bucket and its neighbour together, so many rows and this share
// of them; over the run, so many.
const (
	leastRows  = 4
	badShare   = 0.1
	slowShare  = 0.3
	leastTotal = 6
	leastSlow  = 100 * time.Millisecond // over three times the steady p99
	noBaseline = time.Second            // where the steady phase has too little to go by
	leastSpan  = time.Second            // what was only slow, and for less, was a hiccup of the machine
)

// sign is how one operation went.
type sign struct {
	op          operation
	base        []time.Duration // durations in the steady phase, at most mostBase
	p99         time.Duration
	settled     bool // p99 is known
	buckets     []bucket
	bad         int // no good answer, not the message's own fault
	answers     int // of these: the far end answered, with an error of its own
	slow        int
	silent      int // buckets in which nothing was received though something was there
	down        int
	first, last int64
	why         map[string]bool
}

// bucket is the rows that ended in one span.
type bucket struct{ ok, bad, slow, in int32 }

const mostBase = 4096

// limit is the duration above which an operation counts as slow.
func (s *sign) limit() time.Duration {
	if !s.settled {
		s.settled = true
		slices.Sort(s.base)
		if n := len(s.base); n >= 5 {
			s.p99 = s.base[n-1-outliers(n)]
		}
		s.base = nil
	}
	if s.p99 == 0 {
		return noBaseline
	}
	return 3*s.p99 + leastSlow
}

// outliers is how many of n durations are left out at the top: one in a hundred, and of few enough
// of them the three that one hiccup of the machine may have cost.
func outliers(n int) int {
	if n < 40 {
		return 0
	}
	return max(3, n/100)
}

func (s *sign) bucket(at int64) *bucket {
	i := int(max(0, at) / int64(width))
	for i >= len(s.buckets) {
		s.buckets = append(s.buckets, bucket{})
	}
	return &s.buckets[i]
}

// normal books how long an operation took while all was well.
func (s *sign) normal(d time.Duration) {
	if len(s.base) < mostBase && !s.settled {
		s.base = append(s.base, d)
	}
}

// late books an operation that went well, but slowly.
func (s *sign) late(from, at int64) {
	s.slow++
	s.bucket(at).slow++
	s.mark(from, at)
}

// failed books an operation that did not go well; the reasons that are the message's own fault, or
// that were never tried, do not count.
func (s *sign) failed(e *history.Event) {
	switch cmp.Or(policy.StatusClass(e.Reason), e.Reason) {
	case "4xx", "schema", "auth", "poison", "expression", "breaker_open", "bulkhead", "rate_limit",
		"stopped", "crash":
		return
	case "5xx", "429":
		s.answers++
	}
	s.trouble(e.At-e.Duration, e.At, e.Reason)
}

func (s *sign) trouble(from, at int64, reason string) {
	s.bad++
	s.bucket(at).bad++
	if reason != "" {
		if s.why == nil {
			s.why = map[string]bool{}
		}
		s.why[reason] = true
	}
	s.mark(from, at)
}

func (s *sign) mark(from, to int64) {
	if s.first == 0 && s.last == 0 {
		s.first, s.last = from, to
		return
	}
	s.first, s.last = min(s.first, from), max(s.last, to)
}

// significant says whether the operation was unwell beyond what happens on a good day.
func (s *sign) significant() bool {
	if s.down > 0 || s.silent >= 3 {
		return true
	}
	if s.bad+s.slow < leastTotal || s.bad == 0 && s.last-s.first < int64(leastSpan) {
		return false
	}
	for i := range s.buckets {
		b := s.buckets[i]
		if i+1 < len(s.buckets) {
			b.ok, b.bad, b.slow = b.ok+s.buckets[i+1].ok, b.bad+s.buckets[i+1].bad,
				b.slow+s.buckets[i+1].slow
		}
		all := float64(b.ok + b.bad + b.slow)
		if b.bad >= leastRows && float64(b.bad) >= badShare*all ||
			b.bad+b.slow >= leastRows && float64(b.bad+b.slow) >= slowShare*all {
			return true
		}
	}
	return false
}

// weight is how much is held against whoever is at fault. One slow delivery makes all behind it
// wait, so waiting counts less than what was done slowly.
func (s *sign) weight() float64 {
	slow := float64(s.slow)
	if s.op.kind == "receive" {
		slow /= 10
	}
	return float64(s.bad+4*s.silent+100*s.down) + slow
}

// overlaps says whether two signs were seen at the same time, give or take two seconds: a cause is
// seen before its victims, and a backlog outlasts both.
func (s *sign) overlaps(o *sign) bool {
	const slack = int64(2 * time.Second)
	return s.first <= o.last+slack && o.first <= s.last+slack
}

// causes says whether a sign came early enough, and is heavy enough, to be what another suffers
// from: what is seen only after a victim was hurt, or was only slow on few of the operations that
// were, is a victim itself, such as the rush behind a black hole that has just healed. What failed
// may be seen on few: a breaker keeps others from trying.
func (s *sign) causes(victim *sign) bool {
	const slack = int64(time.Second)
	heavy := s.weight()*fewerThan >= victim.weight()
	if victim.op.kind == "receive" {
		heavy = s.weight() >= victim.weight()
	}
	return s.first <= victim.first+slack && (heavy || s.bad+s.down > 0)
}

// fewerThan is how many times fewer operations a cause may be seen on than its victim.
const fewerThan = 4

// healthyBetween says whether the operation went well often enough in a span, its first and last
// bucket aside, in which the trouble came and went.
func (s *sign) healthyBetween(from, to int64) bool {
	if to-from > 4*int64(width) {
		from, to = from+int64(width), to-int64(width)
	}
	ok, bad := int32(0), int32(0)
	for i := int(from / int64(width)); i <= int(to/int64(width)) && i < len(s.buckets); i++ {
		if i >= 0 {
			ok += s.buckets[i].ok
			bad += s.buckets[i].bad + s.buckets[i].slow
		}
	}
	return ok >= leastRows && ok > 4*bad
}
