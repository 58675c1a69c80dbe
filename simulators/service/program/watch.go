package program

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// Watch tells those who wait when a node's actors have taken up so much work. The zero value is ready
// and safe for concurrent use; while nobody waits it costs one atomic load a delivery.
type Watch struct {
	waiting atomic.Int64
	mu      sync.Mutex
	waits   []*wait
}

type wait struct {
	ready func() bool
	done  chan struct{}
}

// Await returns when ready says so, or ctx ends. Ready is asked at once, and whenever an actor takes
// something in hand; it may not block.
func (w *Watch) Await(ctx context.Context, ready func() bool) error {
	one := &wait{ready: ready, done: make(chan struct{})}
	w.mu.Lock()
	w.waits = append(w.waits, one)
	w.waiting.Add(1)
	w.mu.Unlock()
	defer w.forget(one)
	if ready() {
		return nil
	}
	select {
	case <-one.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *Watch) forget(one *wait) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waits = slices.DeleteFunc(w.waits, func(o *wait) bool { return o == one })
	w.waiting.Add(-1)
}

// took asks those who wait; a nil watch has none.
func (w *Watch) took() {
	if w == nil || w.waiting.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.waits {
		select {
		case <-one.done:
		default:
			if one.ready() {
				close(one.done)
			}
		}
	}
}
