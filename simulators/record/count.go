package record

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/faultline-sim/faultline/assertions/history"
)

// Count counts the events that match from now on; stop it when its answer is no longer needed.
// Match is called in the recording goroutine: it must be quick, must not block and must not keep the
// event. Events that are shed count too.
func (r *Recorder) Count(match func(*history.Event) bool) *Counter {
	c := &Counter{match: match, of: &r.counters}
	r.counters.change(func(live []*Counter) []*Counter { return append(live, c) })
	return c
}

// Counter is a live count of matching events.
type Counter struct {
	match func(*history.Event) bool
	of    *counters
	n     atomic.Int64
}

// Value is the count so far.
func (c *Counter) Value() int64 { return c.n.Load() }

// Stop ends the counting; the value stays.
func (c *Counter) Stop() {
	if c.of == nil {
		return
	}
	c.of.change(func(live []*Counter) []*Counter {
		return slices.DeleteFunc(live, func(l *Counter) bool { return l == c })
	})
}

// counters is the list of live counters. It is copied when it changes, so that recording reads it
// without a lock.
type counters struct {
	live   atomic.Pointer[[]*Counter]
	mu     sync.Mutex // one change at a time
	copies sync.Pool  // of *history.Event
}

func (cs *counters) change(to func([]*Counter) []*Counter) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	var live []*Counter
	if old := cs.live.Load(); old != nil {
		live = slices.Clone(*old)
	}
	live = to(live)
	cs.live.Store(&live)
}

// count asks all live counters. They are given a copy, of which the memory comes back: what a
// function value is given would else have to be allocated for each event by whoever records it.
func (cs *counters) count(e *history.Event) {
	live := cs.live.Load()
	if live == nil || len(*live) == 0 {
		return
	}
	shown, ok := cs.copies.Get().(*history.Event)
	if !ok {
		shown = new(history.Event)
	}
	*shown = *e
	for _, c := range *live {
		if c.match(shown) {
			c.n.Add(1)
		}
	}
	cs.copies.Put(shown)
}
