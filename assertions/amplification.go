package assertions

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
)

// amplifiedOver is the span of the run over which amplification is taken where no fault says one.
const amplifiedOver = 5 * time.Second

// repeats are how often each message was tried again over a kind of hop, after its first try.
type repeats map[*hop]*column[uint16]

// observe takes the event that the ledger has just booked.
func (r repeats) observe(now *passage, message int64) {
	if !now.tried || now.first || now.hop.tried == 0 {
		return
	}
	c := r[now.hop]
	if c == nil {
		c = &column[uint16]{}
		r[now.hop] = c
	}
	if n := c.at(message); *n < math.MaxUint16 {
		*n++
	}
}

// effort is how often the messages of a span were tried over a wire.
type effort struct {
	flow, wire      string
	messages, tries int
	from, to        int64 // when the first and the last of them were due
}

func (e effort) ratio() float64 {
	if e.messages == 0 {
		return 0
	}
	return float64(e.tries) / float64(e.messages)
}

// amplification is the worst over all wires that the handler dials, and judges each wire against the
// budget.
func (c *retry) amplification() (worst effort) {
	for _, f := range c.ledger.flows {
		for _, h := range f.kinds {
			if h.key.node != c.p.Node || h.key.handler != c.p.Handler ||
				h.key.kind == history.Receive || h.distinct == 0 || h.tried == 0 {
				continue
			}
			e := c.effort(f, h)
			if e.ratio() > worst.ratio() {
				worst = e
			}
			if c.p.Amplification > 0 && e.ratio() > c.p.Amplification {
				c.r.anomaly(Anomaly{Kind: "amplified", Flow: f.name, Message: -1, Where: h.key.wire,
					Text: fmt.Sprintf(
						"%d tries over %s for %d messages of %s sent from %v to %v (%.2f, budget %.2f)",
						e.tries, h.key.wire, e.messages, f.name, seconds(e.from), seconds(e.to),
						e.ratio(), c.p.Amplification)})
			}
		}
	}
	return worst
}

// toil is one message over one hop: when it was due, and how many tries it and all before it made.
type toil struct{ due, tries int64 }

// effort is the worst of a flow over a hop: of the messages that were due while each fault was in
// force, and of those of each 5 s. A span with fewer than 20 messages is made longer, for the tries of
// a few say nothing about many.
func (c *retry) effort(f *flowLedger, h *hop) (worst effort) {
	all := c.toils(f, h)
	take := func(from, to int) {
		if to-from < leastCompared {
			to = min(len(all), from+leastCompared)
			from = max(0, to-leastCompared)
		}
		e := effort{flow: f.name, wire: h.key.wire, messages: to - from, from: all[from].due,
			to: all[to-1].due, tries: int(all[to-1].tries)}
		if from > 0 {
			e.tries -= int(all[from-1].tries)
		}
		if e.ratio() > worst.ratio() {
			worst = e
		}
	}
	before := func(at int64) int {
		return sort.Search(len(all), func(i int) bool { return all[i].due >= at })
	}
	for _, s := range c.ledger.Faults() {
		take(before(int64(s.From)), before(int64(s.To)))
	}
	for from := range all {
		to := before(all[from].due + int64(amplifiedOver))
		if to == len(all) { // the last whole span
			take(before(all[to-1].due-int64(amplifiedOver)+1), to)
			break
		}
		take(from, to)
	}
	return worst
}

// toils are the messages of a flow that were tried over a hop, by when they were due.
func (c *retry) toils(f *flowLedger, h *hop) (all []toil) {
	extra := c.repeats[h]
	for i := range f.size {
		m := f.rows.get(i)
		if m.hops&h.tried == 0 {
			continue
		}
		t := toil{due: f.due(i, &m), tries: 1}
		if extra != nil {
			t.tries += int64(extra.get(i))
		}
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b toil) int { return cmp.Compare(a.due, b.due) })
	for i := 1; i < len(all); i++ {
		all[i].tries += all[i-1].tries
	}
	return all
}
