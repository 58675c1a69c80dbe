package fault

import (
	"sync/atomic"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators/record"
)

// tally counts the events that a fault is to blame for. After the heal only operations that began
// before it count.
type tally struct {
	counter  *record.Counter
	now      func() int64
	healedAt *atomic.Int64 // 0 until the heal
}

func count(s Stage, match func(*history.Event) bool) *tally {
	healedAt := new(atomic.Int64)
	return &tally{now: s.Now, healedAt: healedAt, counter: s.Count(func(e *history.Event) bool {
		healed := healedAt.Load()
		return (healed == 0 || e.At-e.Duration < healed) && match(e)
	})}
}

func (t *tally) healed() { t.healedAt.CompareAndSwap(0, t.now()) }

// Bite is the count so far.
func (t *tally) Bite() int64 { return t.counter.Value() }

// Close ends the counting.
func (t *tally) Close() { t.counter.Stop() }
