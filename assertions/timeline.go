package assertions

import (
	"fmt"
	"strings"
	"time"
)

// timeline is one flow in buckets of time.
type timeline struct {
	flow     *flowLedger
	width    int64
	buckets  []bucket
	onlyLate bool   // so far only lateness was unwell
	reason   string // the last reason for not being well
}

// bucket is the messages meant to be sent in one span, and the backlog at its end.
type bucket struct {
	offered, completed, late int
	failed                   int64 // the last message that did not complete, or late, −1 for none
	backlog                  int
}

// norm is how a flow is when it is well.
type norm struct {
	share   float64
	backlog int
}

func (t *timeline) index(at int64) int { return int(at / t.width) }
func (t *timeline) start(i int) int64  { return int64(i) * t.width }
func (t *timeline) at(ns int64) *bucket {
	return &t.buckets[min(max(0, t.index(ns)), len(t.buckets)-1)]
}

// timeline puts each message in the bucket of its intended send time, and counts the backlog at the
// end of each bucket.
func (l *Ledger) timeline(f *flowLedger, width time.Duration) *timeline {
	t := &timeline{flow: f, width: int64(width), onlyLate: true}
	t.buckets = make([]bucket, t.index(l.last)+2)
	for i := range t.buckets {
		t.buckets[i].failed = -1
	}
	for i := range f.size {
		m := f.rows.get(i)
		if m.flags&begun == 0 {
			continue
		}
		o := f.outcome(i, &m)
		b := t.at(m.sent)
		b.offered++
		b.completed += one(o.completed)
		b.late += one(o.late)
		if !o.completed || o.late {
			b.failed = i
		}
		b.backlog++
		if o.settled > 0 {
			t.at(m.sent+o.settled).backlog--
		}
	}
	for i := 1; i < len(t.buckets); i++ {
		t.buckets[i].backlog += t.buckets[i-1].backlog
	}
	return t
}

// outcome is a message over all its legs: completed when every leg was reached or rightly ended,
// late when one was reached after its p99, settled (ns after sent, 0 for never) when nothing more
// is waited for: also when the producer was answered and the message is not ours to lose.
type outcome struct {
	completed, late bool
	settled         int64
}

func (f *flowLedger) outcome(i int64, m *row) outcome {
	o := outcome{completed: true, settled: 1}
	for j, leg := range f.route.legs {
		lr := f.legRows[j].get(i)
		if lr.state&(arrived|foundThere|legFiltered) == 0 {
			o.completed = false
		}
		after := int64(lr.after) * 1000
		if lr.state&arrived != 0 && leg.p99 > 0 && after > leg.p99 {
			o.late = true
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

// norm is the flow's own steady state: the completed share, and the highest backlog (at least 2,
// and half as much again), with what comes in one bucket on top: where messages are worked off in
// batches, the backlog swings by that much with the moment at which it is looked at.
func (t *timeline) norm(l *Ledger) norm {
	n := norm{share: 1, backlog: 2}
	w, ok := l.steady()
	if !ok {
		return n
	}
	offered, completed, buckets := 0, 0, 0
	for i := t.index(int64(w.From)); i < min(t.index(int64(w.To)), len(t.buckets)); i++ {
		b := t.buckets[i]
		offered += b.offered
		completed += b.completed
		buckets++
		n.backlog = max(n.backlog, b.backlog+b.backlog/2)
	}
	if offered > 0 {
		n.share = float64(completed) / float64(offered)
		n.backlog += offered / buckets
	}
	return n
}

// well says whether all three conditions hold in a bucket, and if not names a message.
func (t *timeline) well(i int, steady norm) (bool, int64) {
	if i >= len(t.buckets) {
		return true, -1
	}
	b := t.buckets[i]
	failed := b.offered - b.completed
	granted := int((1 - steady.share) * float64(b.offered))
	var reasons []string
	if failed > granted {
		t.onlyLate = false
		reasons = append(reasons, fmt.Sprintf("%d of %d did not complete", failed, b.offered))
	}
	if b.late > max(1, b.offered/100) {
		reasons = append(reasons, fmt.Sprintf("%d of %d were late", b.late, b.offered))
	}
	if backlog := t.backlog(i); backlog > steady.backlog {
		t.onlyLate = false
		reasons = append(reasons, fmt.Sprintf("%d were waiting", backlog))
	}
	if len(reasons) == 0 {
		return true, -1
	}
	t.reason = fmt.Sprintf("at %v %s", seconds(t.start(i)), strings.Join(reasons, ", "))
	return false, b.failed
}

// backlog at the end of a bucket; what is on its way right then is not yet a backlog, so the lower
// of this and the next end counts.
func (t *timeline) backlog(i int) int {
	if i+1 < len(t.buckets) {
		return min(t.buckets[i].backlog, t.buckets[i+1].backlog)
	}
	return t.buckets[i].backlog
}
