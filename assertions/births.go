package assertions

import (
	"slices"
	"sort"

	"github.com/faultline-sim/faultline/assertions/history"
)

// originate notes how long after the send of its parent a derived message was born. A parent that is
// itself derived counts from its own parent's send, and so on up to a message that a source sent.
func (l *Ledger) originate(e *history.Event) {
	parent := l.byName[e.ParentFlow]
	if parent == nil || e.Parent < 0 {
		return
	}
	p := parent.rows.get(e.Parent)
	if p.flags&begun == 0 {
		return
	}
	f := l.byName[e.Flow]
	*f.origins.at(e.Message) = micros(f.rows.at(e.Message).sent - parent.due(e.Parent, &p))
}

// due is when a message was meant to be sent: a derived one counts from its parent's send, so that a
// fault that holds the parents up is seen in what should have been born of them.
func (f *flowLedger) due(i int64, m *row) int64 {
	if m.flags&derived == 0 {
		return m.sent
	}
	return m.sent - 1000*int64(f.origins.get(i))
}

// dueIn are the times at which messages were due in a window, sorted.
func (f *flowLedger) dueIn(w Window) (times []int64) {
	for i := range f.size {
		m := f.rows.get(i)
		if m.flags&begun == 0 {
			continue
		}
		if at := f.due(i, &m); w.has(at) {
			times = append(times, at)
		}
	}
	slices.Sort(times)
	return times
}

// births are how many messages of a derived flow were born of how many parents, which were sent in
// one window.
type births struct{ born, parents int }

// parent is the flow that a derived flow is born of, nil for none.
func (l *Ledger) parent(f *flowLedger) *flowLedger {
	if f.derivedFrom() == "" {
		return nil
	}
	return l.flow(f.derivedFrom())
}

// births counts those of a derived flow in a window of their parents' sends.
func (l *Ledger) births(f *flowLedger, w Window) births {
	parent := l.parent(f)
	if parent == nil {
		return births{}
	}
	return births{born: len(f.dueIn(w)), parents: len(parent.dueIn(w))}
}

// scarcest looks for a span of a window in which fewer messages of a derived flow were born than
// chance explains: over the whole of it, and over spans just long enough for the lack of all births
// to be noticed, each half as far on as the one before. It gives the whole where there is none.
func (l *Ledger) scarcest(f *flowLedger, w Window, steady births) (whole births, yes bool) {
	if l.parent(f) == nil {
		return births{}, false
	}
	born, parents := f.dueIn(w), l.parent(f).dueIn(w)
	whole = births{born: len(born), parents: len(parents)}
	if whole.scarce(steady) || !whole.telling(steady) {
		return whole, whole.scarce(steady)
	}
	enough := sort.Search(len(parents), func(n int) bool {
		return births{parents: n}.telling(steady)
	})
	for from := 0; from+enough <= len(parents); from += max(1, enough/2) {
		first, _ := slices.BinarySearch(born, parents[from])
		last := len(born)
		if from+enough < len(parents) {
			last, _ = slices.BinarySearch(born, parents[from+enough])
		}
		if part := (births{born: last - first, parents: enough}); part.scarce(steady) {
			return part, true
		}
	}
	return whole, false
}

// owed is how many births are owed of so many parents, at the rate of these births.
func (b births) owed(parents int) float64 {
	if b.parents == 0 {
		return 0
	}
	return float64(b.born) / float64(b.parents) * float64(parents)
}

// scarce says whether births are so few beside the steady ones that chance does not explain it.
func (b births) scarce(steady births) bool {
	return float64(b.born) < steady.owed(b.parents) &&
		fewer(b.born, b.born+steady.born, share(b.parents, steady.parents)) < unlikely
}

// telling says whether no birth at all of so many parents would be noticed.
func (b births) telling(steady births) bool {
	return births{parents: b.parents}.scarce(steady)
}

func share(n, others int) float64 { return float64(n) / float64(max(1, n+others)) }
