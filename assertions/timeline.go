package assertions

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// timeline is one flow from a moment on, the heal of a fault, until the load ends: in whole buckets
// of time, and its backlog from exact times.
type timeline struct {
	flow     *flowLedger
	from     int64
	width    int64
	buckets  []bucket
	levels   levels
	limits   []limit // by leg
	steady   norm
	onlyLate bool   // so far only lateness was unwell
	reason   string // the last reason for not being well
}

// bucket is the messages meant to be sent in one span.
type bucket struct {
	offered, completed, late int
	arrived                  int    // messages that became complete in this span, whenever sent
	failed                   int64  // the last message that did not complete, or late, −1 for none
	births                   births // of a derived flow
}

// norm is how a flow is when it is well.
type norm struct {
	share   float64
	backlog int64
	quiet   time.Duration // the longest span without an arrival, 0 where there was none to compare
	births  births
}

// limit is how long a message may take to a leg before it is late.
type limit struct {
	promised int64 // since it was sent or born: the SLO's p99; 0 for none
	usual    int64 // since it was due: see Ledger.limits; 0 for none
}

func (t *timeline) start(i int) int64 { return t.from + int64(i)*t.width }

// at is the bucket of a moment, nil where there is none.
func (t *timeline) at(ns int64) *bucket {
	i := (ns - t.from) / t.width
	if ns < t.from || i >= int64(len(t.buckets)) {
		return nil
	}
	return &t.buckets[i]
}

// timeline puts each message in the bucket of the time at which it was due.
func (l *Ledger) timeline(f *flowLedger, from time.Duration, width time.Duration) *timeline {
	t := &timeline{flow: f, from: int64(from), width: int64(width), limits: l.limits(f),
		onlyLate: true, steady: norm{share: 1, backlog: 2}}
	t.buckets = make([]bucket, max(0, (l.loadEnd()-t.from)/t.width))
	for i := range t.buckets {
		t.buckets[i].failed = -1
	}
	t.levels = f.levels(func(i int64, m *row) int64 { return f.outcome(i, m, t.limits).settled })
	for i := range f.size {
		t.fill(i)
	}
	if parent := l.parent(f); parent != nil {
		for i := range parent.size {
			m := parent.rows.get(i)
			if b := t.at(parent.due(i, &m)); b != nil && m.flags&begun != 0 {
				b.births.parents++
			}
		}
	}
	if w, ok := l.steady(); ok {
		t.norm(w)
		t.steady.births = l.births(f, w)
	}
	return t
}

func (t *timeline) fill(i int64) {
	m := t.flow.rows.get(i)
	if m.flags&begun == 0 {
		return
	}
	o := t.flow.outcome(i, &m, t.limits)
	if b := t.at(m.sent + o.settled); b != nil && o.completed && o.settled > 0 {
		b.arrived++
	}
	b := t.at(t.flow.due(i, &m))
	if b == nil {
		return
	}
	b.offered++
	b.births.born++
	b.completed += one(o.completed)
	b.late += one(o.late)
	if !o.completed || o.late {
		b.failed = i
	}
}

// outcome is a message over all its legs: completed when every leg was reached or rightly ended,
// late when one was reached after its limit, settled (ns after sent, 0 for never) when nothing more
// is waited for: also when the producer was answered and the message is not ours to lose.
type outcome struct {
	completed, late bool
	settled         int64
}

func (f *flowLedger) outcome(i int64, m *row, limits []limit) outcome {
	o := outcome{completed: true, settled: 1}
	held := m.sent - f.due(i, m)
	for j := range f.route.legs {
		lr := f.legRows[j].get(i)
		if lr.state&(arrived|foundThere|legFiltered) == 0 {
			o.completed = false
		}
		after := int64(lr.after) * 1000
		if lr.state&arrived != 0 {
			o.late = o.late || limits[j].over(after, held)
		}
		switch {
		case o.settled == 0:
		case lr.state&settledBits == 0:
			o.settled = 0
		default:
			o.settled = max(o.settled, after)
		}
	}
	if o.settled == 0 && !f.owes(m) && m.flags&(toldOk|toldFail|toldUnknown) != 0 {
		o.settled = 1000 * int64(max(m.answered, m.last))
	}
	return o
}

// over says whether an arrival so long after the send is late; held is how long before its send the
// message was due.
func (l limit) over(after, held int64) bool {
	return l.promised > 0 && after > l.promised || l.usual > 0 && after+held > l.usual
}

// limits are those of a flow's legs. A leg without a p99, and any leg of a derived flow, may take
// DefaultSlower times its own steady p99 and one second more, counted from when the message was due.
func (l *Ledger) limits(f *flowLedger) []limit {
	all := make([]limit, len(f.route.legs))
	w, ok := l.steady()
	for j, leg := range f.route.legs {
		all[j].promised = leg.p99
		if ok && (leg.p99 == 0 || f.derivedFrom() != "") {
			own := f.measure(j, w)
			all[j].usual = int64(own.slower(DefaultSlower))
		}
	}
	return all
}

// norm is the flow's own steady state: the completed share, and the highest backlog (at least 2,
// and half as much again), with what comes in one bucket on top: a steady phase is short, and where
// messages are worked off in batches it may not have seen the highest.
func (t *timeline) norm(w Window) {
	offered, completed := 0, 0
	var times []int64
	for i := range t.flow.size {
		m := t.flow.rows.get(i)
		if m.flags&begun == 0 {
			continue
		}
		o := t.flow.outcome(i, &m, t.limits)
		if at := m.sent + o.settled; o.completed && o.settled > 0 && w.has(at) {
			times = append(times, at)
		}
		if w.has(t.flow.due(i, &m)) {
			offered++
			completed += one(o.completed)
		}
	}
	if offered == 0 {
		return
	}
	_, most := t.levels.bounds(int64(w.From), int64(w.To))
	t.steady.share = float64(completed) / float64(offered)
	t.steady.backlog = max(2, most+most/2) + int64(offered)*t.width/int64(w.To-w.From)
	t.steady.quiet = longestGap(times, w)
}

func (w Window) has(ns int64) bool { return ns >= int64(w.From) && ns < int64(w.To) }

// longestGap is the longest span of a window without any of these times; 0 where there are none.
func longestGap(times []int64, w Window) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	longest, last := int64(0), int64(w.From)
	for _, at := range append(times, int64(w.To)) {
		longest, last = max(longest, at-last), at
	}
	return time.Duration(longest)
}

// unwell is until when, in a bucket, the flow was not well; 0 where it was well all along. A bucket
// that is judged as a whole is unwell to its end, a backlog to the moment at which it was last above
// its bound.
func (t *timeline) unwell(i int) (until int64) {
	b, from, to := &t.buckets[i], t.start(i), t.start(i+1)
	var reasons []string
	note := func(whole bool, format string, args ...any) {
		if whole {
			until = to
		}
		reasons = append(reasons, fmt.Sprintf(format, args...))
	}
	failed := b.offered - b.completed
	if failed > int((1-t.steady.share)*float64(b.offered)) {
		note(true, "%d of %d did not complete", failed, b.offered)
	}
	if t.silent(i) {
		note(true, "none of %d arrived", b.offered)
	}
	if born, scarce := t.scarce(i); scarce {
		note(true, "%d were born of %d, owed %.0f", born.born, born.parents,
			t.steady.births.owed(born.parents))
	}
	if above := t.levels.above(from, to, t.steady.backlog); above > 0 {
		until = max(until, above)
		_, most := t.levels.bounds(from, to)
		note(false, "%d were waiting", most)
	}
	t.onlyLate = t.onlyLate && len(reasons) == 0
	if t.late(i) {
		note(true, "%d of %d were late", b.late, b.offered)
	}
	if len(reasons) > 0 {
		t.reason = fmt.Sprintf("at %v %s", seconds(from), strings.Join(reasons, ", "))
	}
	return until
}

// silent says that in a bucket with load nothing arrived while something waited all along, where in
// the steady state no half of a bucket went by without an arrival.
func (t *timeline) silent(i int) bool {
	b := &t.buckets[i]
	if b.offered == 0 || b.arrived > 0 || t.steady.quiet == 0 ||
		t.steady.quiet > time.Duration(t.width/2) {
		return false
	}
	least, _ := t.levels.bounds(t.start(i), t.start(i+1))
	return least > 0
}

// late says that a bucket holds late messages that a p99 does not grant, over a window long enough
// for it: the last 100 messages that completed, this bucket's among them, none from before the heal.
func (t *timeline) late(i int) bool {
	if t.buckets[i].late == 0 {
		return false
	}
	late, completed := 0, 0
	for ; i >= 0 && completed < leastMessages(0.99); i-- {
		late += t.buckets[i].late
		completed += t.buckets[i].completed
	}
	return late > granted(0.99, completed)
}

// scarce says that fewer messages than owed were born in a bucket of a derived flow, and in the
// buckets before it, as far back as it takes to tell that none is too few.
func (t *timeline) scarce(i int) (sum births, yes bool) {
	own := t.buckets[i].births
	if float64(own.born) >= t.steady.births.owed(own.parents) {
		return own, false
	}
	for ; i >= 0 && !sum.telling(t.steady.births); i-- {
		sum.born += t.buckets[i].births.born
		sum.parents += t.buckets[i].births.parents
	}
	return sum, sum.scarce(t.steady.births)
}
