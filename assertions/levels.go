package assertions

import (
	"slices"
	"sort"
)

// level is how many messages of a flow wait from one moment on: sent (or born), and not settled.
type level struct{ at, waiting int64 }

// levels are a flow's backlog over time, one for each moment at which it changed. Before the first
// one nothing waits.
type levels []level

// levels follows the backlog through the exact times of all messages. What is settled and what is
// sent in the same instant do not wait side by side.
func (f *flowLedger) levels(settled func(i int64, m *row) int64) levels {
	var begins, ends []int64
	for i := range f.size {
		m := f.rows.get(i)
		if m.flags&begun == 0 {
			continue
		}
		begins = append(begins, m.sent)
		if after := settled(i, &m); after > 0 {
			ends = append(ends, m.sent+after)
		}
	}
	slices.Sort(begins)
	slices.Sort(ends)
	return merged(begins, ends)
}

func merged(begins, ends []int64) levels {
	var all levels
	waiting, i, j := int64(0), 0, 0
	for i < len(begins) || j < len(ends) {
		at := int64(still)
		if i < len(begins) {
			at = begins[i]
		}
		if j < len(ends) {
			at = min(at, ends[j])
		}
		for ; j < len(ends) && ends[j] == at; j++ {
			waiting--
		}
		for ; i < len(begins) && begins[i] == at; i++ {
			waiting++
		}
		all = append(all, level{at, waiting})
	}
	return all
}

// each gives the levels in force in a window, with the spans for which they are.
func (q levels) each(from, to int64, do func(from, to, waiting int64)) {
	next := sort.Search(len(q), func(i int) bool { return q[i].at > from })
	waiting := int64(0)
	if next > 0 {
		waiting = q[next-1].waiting
	}
	for ; from < to; next++ {
		until := to
		if next < len(q) {
			until = min(to, q[next].at)
		}
		do(from, until, waiting)
		from = until
		if next < len(q) {
			waiting = q[next].waiting
		}
	}
}

// most and least are the highest and the lowest backlog in a window.
func (q levels) bounds(from, to int64) (least, most int64) {
	least = still
	q.each(from, to, func(_, _, waiting int64) {
		least, most = min(least, waiting), max(most, waiting)
	})
	return least, most
}

// above is until when, within a window, the backlog was last above a bound; 0 for never.
func (q levels) above(from, to, bound int64) (until int64) {
	q.each(from, to, func(_, end, waiting int64) {
		if waiting > bound {
			until = end
		}
	})
	return until
}
