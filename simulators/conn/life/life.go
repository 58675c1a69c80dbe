// Package life is the life of a broker's client: what it has begun, how it waits before it tries
// again, and that nothing of it is left when it is closed.
//
// It is used in the run step of load → plan → run → check → report, by the clients of brokers. It
// promises that nothing begins once a client is closing, and that subscriptions have ended before
// the rest of the client does. It may not import a client, an engine or a wire.
package life

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed is what a closed client answers.
var ErrClosed = errors.New("client is closed")

// Life is one client's, from New to the end of Wait. It is a context, which ends with the client,
// or at once where that crashes. It is safe for concurrent use.
type Life struct {
	context.Context
	end     context.CancelFunc
	crashed atomic.Bool
	begun   sync.WaitGroup

	mu      sync.Mutex
	closing bool
	stays   map[*stay]struct{}
}

// stay is one subscription for as long as it runs.
type stay struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

// New begins a life.
func New() *Life {
	l := &Life{stays: map[*stay]struct{}{}}
	l.Context, l.end = context.WithCancel(context.Background())
	return l
}

// Go runs f in a goroutine that Wait waits for; false when the client is closing.
func (l *Life) Go(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return false
	}
	l.begun.Go(f)
	return true
}

// Beside is Go for what Wait waits for anyway: what that begins is begun also in a client that is
// closing.
func (l *Life) Beside(f func()) { l.begun.Go(f) }

// Stay runs a subscription in a goroutine until ctx ends, or the client: Leave ends it in order,
// End at once. The channel is closed when it has ended.
func (l *Life) Stay(ctx context.Context, run func(context.Context)) (<-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return nil, ErrClosed
	}
	s := &stay{ended: make(chan struct{})}
	ctx, s.cancel = context.WithCancel(ctx)
	l.stays[s] = struct{}{}
	l.begun.Go(func() {
		defer close(s.ended)
		defer l.forget(s)
		defer s.cancel()
		defer context.AfterFunc(l, s.cancel)()
		run(ctx)
	})
	return s.ended, nil
}

func (l *Life) forget(s *stay) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.stays, s)
}

// Backoff is the pause before the n-th further try, n from 1: 20 ms, doubled each time, at most
// half a second.
func Backoff(n int) time.Duration {
	return min(500*time.Millisecond, 10*time.Millisecond<<min(n, 6))
}

// PauseBefore waits before the n-th further try. See Backoff and Pause.
func (l *Life) PauseBefore(ctx context.Context, n int) error { return l.Pause(ctx, Backoff(n)) }

// Pause waits; its error is why there should be no further try.
func (l *Life) Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-l.Done():
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Closing says that nothing new begins any more.
func (l *Life) Closing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closing
}

// Crash lets nothing new begin, and nothing take leave. End is called behind it, as soon as nothing
// can be sent any more.
func (l *Life) Crash() {
	l.crashed.Store(true)
	l.refuse()
}

// Crashed says that the client ends without a word.
func (l *Life) Crashed() bool { return l.crashed.Load() }

// refuse lets nothing new begin; it returns the subscriptions that there are.
func (l *Life) refuse() []*stay {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closing = true
	var all []*stay
	for s := range l.stays {
		all = append(all, s)
	}
	return all
}

// Leave lets nothing new begin, tells all subscriptions to end and returns when they have. It may
// not be called from within one.
func (l *Life) Leave() {
	all := l.refuse()
	for _, s := range all {
		s.cancel()
	}
	for _, s := range all {
		<-s.ended
	}
}

// End ends the context, and with it all that hangs on it.
func (l *Life) End() { l.end() }

// Wait returns when all that was begun has ended.
func (l *Life) Wait() { l.begun.Wait() }
