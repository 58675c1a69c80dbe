package program

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
	"golang.org/x/sync/semaphore"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/topology/policy"
)

// guard is the running policies of one handler or step in one replica: breaker, bulkhead and rate
// limit, with what they remember. It never holds a lock while it waits.
type guard struct {
	timeout   time.Duration
	breaker   circuitbreaker.CircuitBreaker[any]
	pauses    bool
	changed   broadcast // the breaker's state
	limiter   ratelimiter.RateLimiter[any]
	refuses   bool // the limiter is asked by the HTTP trigger, which answers 429
	bulkhead  *semaphore.Weighted
	waiting   atomic.Int64
	paused    atomic.Int64    // how often somebody had to wait for the breaker
	stopping  <-chan struct{} // ends the waiting for a paused breaker
	mayWait   int64
	permanent []string
	cached    atomic.Pointer[answer] // the last good one, where fallback may give it again
}

// newGuard makes a guard; state is told each change of the breaker.
func (a *Actor) newGuard(p policy.Set, permanent []string, state func(string)) *guard {
	g := &guard{timeout: p.Timeout, permanent: permanent, stopping: a.Stopping.Done()}
	if b := p.Breaker; b != nil {
		g.pauses = b.WhenOpen == "pause"
		g.breaker = newBreaker(b, func(to circuitbreaker.State) {
			state(breakerStates[to])
			g.changed.send()
		})
	}
	if b := p.Bulkhead; b != nil {
		g.bulkhead = semaphore.NewWeighted(int64(max(1, b.Concurrent)))
		g.mayWait = int64(b.Waiting)
	}
	if l := p.RateLimit; l != nil {
		g.limiter = NewLimiter(l)
	}
	return g
}

var breakerStates = map[circuitbreaker.State]string{
	circuitbreaker.ClosedState:   "closed",
	circuitbreaker.OpenState:     "open",
	circuitbreaker.HalfOpenState: "half_open",
}

func newBreaker(
	b *policy.Breaker, changed func(to circuitbreaker.State),
) circuitbreaker.CircuitBreaker[any] {
	builder := circuitbreaker.NewBuilder[any]().WithDelay(b.Open).WithSuccessThreshold(1)
	failures := uint(max(1, b.Failures))
	if b.Within > 0 {
		builder = builder.WithFailureThresholdPeriod(failures, b.Within)
	} else {
		builder = builder.WithFailureThreshold(failures)
	}
	return builder.OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
		changed(e.NewState)
	}).Build()
}

// NewLimiter is a running rate limit.
func NewLimiter(l *policy.RateLimit) ratelimiter.RateLimiter[any] {
	return ratelimiter.NewBursty[any](uint(max(1, l.Count)), max(l.Per, time.Millisecond))
}

// enter asks for leave to try once; whoever has it gives it back with leave. Waiting for the rate,
// for a place in the bulkhead and for a paused breaker is not part of the try; while it waits for
// the breaker it holds no place. The try begins when leave was asked for the time that it was
// given: before the breaker could open behind it, however late the goroutine goes on.
func (g *guard) enter(ctx context.Context, now func() int64) (begin int64, err error) {
	if g.limiter != nil && !g.refuses {
		if err := g.limiter.AcquirePermit(ctx); err != nil {
			return now(), err
		}
	}
	for {
		if err := g.enterBulkhead(ctx); err != nil {
			return now(), err
		}
		begin = now()
		if g.breaker == nil {
			return begin, nil
		}
		changed := g.changed.wait()
		if g.breaker.TryAcquirePermit() {
			return begin, nil
		}
		g.leaveBulkhead()
		if !g.pauses {
			return begin, simulators.Refusal(simulators.ReasonBreakerOpen, nil)
		}
		if err := g.awaitBreaker(ctx, changed); err != nil {
			return now(), err
		}
	}
}

// leave gives the leave back and tells the breaker how the try went. A permanent failure counts as
// an answer: the far end works.
func (g *guard) leave(err error) {
	g.leaveBulkhead()
	if g.breaker == nil {
		return
	}
	if f := simulators.Explain(err); f == nil || f.Final(g.permanent) {
		g.breaker.RecordSuccess()
		return
	}
	g.breaker.RecordFailure()
}

// awaitBreaker returns when it is worth asking the breaker again. While a trial runs there is no
// delay left; then only the trial's end changes anything.
func (g *guard) awaitBreaker(ctx context.Context, changed <-chan struct{}) error {
	place := time.Duration(g.paused.Add(1)%places) * placeApart
	var open <-chan time.Time
	if left := g.breaker.RemainingDelay(); left > 0 {
		timer := time.NewTimer(left)
		defer timer.Stop()
		open = timer.C
	} else if g.breaker.IsOpen() {
		return ctx.Err()
	}
	select {
	case <-changed:
	case <-open:
	case <-g.stopping:
		return context.Canceled
	case <-ctx.Done():
		return ctx.Err()
	}
	return simulators.Wait(ctx, place)
}

// placeApart is how far apart those ask again who waited for one breaker, so that it is somebody's
// decision who is let through; places is how many of them there are apart.
const (
	placeApart = 200 * time.Nanosecond
	places     = 512
)

func (g *guard) enterBulkhead(ctx context.Context) error {
	if g.bulkhead == nil || g.bulkhead.TryAcquire(1) {
		return nil
	}
	if g.waiting.Add(1) > g.mayWait {
		g.waiting.Add(-1)
		return simulators.Refusal(simulators.ReasonBulkhead, nil)
	}
	defer g.waiting.Add(-1)
	return g.bulkhead.Acquire(ctx, 1)
}

func (g *guard) leaveBulkhead() {
	if g.bulkhead != nil {
		g.bulkhead.Release(1)
	}
}

// limit is the context of one try, with the declared timeout.
func (g *guard) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if g.timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, g.timeout)
}

// broadcast wakes all that wait. The zero value is ready.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) send() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}
