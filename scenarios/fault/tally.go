package fault

import (
	"sync/atomic"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators/record"
)

// match says whether a fault is to blame for an event. After is true for what began after the heal.
type match func(e *history.Event, after bool) bool

// tally counts the events that a fault is to blame for.
type tally struct {
	counter  *record.Counter
	now      func() int64
	healedAt *atomic.Int64 // 0 until the heal
}

func count(s Stage, m match) *tally {
	healedAt := new(atomic.Int64)
	return &tally{now: s.Now, healedAt: healedAt, counter: s.Count(func(e *history.Event) bool {
		healed := healedAt.Load()
		return m(e, healed != 0 && e.At-e.Duration >= healed)
	})}
}

func (t *tally) healed() { t.healedAt.CompareAndSwap(0, t.now()) }

// Bite is the count so far.
func (t *tally) Bite() int64 { return t.counter.Value() }

// Close ends the counting.
func (t *tally) Close() { t.counter.Stop() }
