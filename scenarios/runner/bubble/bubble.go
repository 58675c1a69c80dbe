// Package bubble runs something in virtual time: its clock stands still while anything works, and
// jumps to the next timer when all of its goroutines wait.
//
// It is used in the run step of load → plan → run → check → report, around a whole run. It promises
// that what waits for ever is found out: a watchdog outside of the bubble ends a run whose clock
// stands still, and says which goroutine holds it. It imports nothing of the project.
//
// The bubble is that of testing/synctest. Inside of it every wait must be one that the runtime can
// see through (a channel, a timer, a condition variable, a wait group made inside); a wait for a
// mutex, a socket or a channel from outside holds the clock.
package bubble

import (
	"context"
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// beat is how often the bubble shows, by its own clock, that time goes on, and looks whether it is
// to end.
const beat = 20 * time.Millisecond

// gcPercent lets the heap grow more than usual between two collections: a run has seconds of
// processor time for minutes of garbage, and most of it is short-lived.
const gcPercent = 400

// one lets one bubble live at a time: each has the whole process, on one processor, so that the
// same choices come in the same order. Who has put something in may begin one.
var one = make(chan struct{}, 1)

// state is what the inside tells the outside, without a channel between them.
type state struct {
	beats   atomic.Int64 // of the virtual clock
	stopped atomic.Bool  // the outside's context is done
	bubble  atomic.Value // its number, a string; nothing before it has begun
}

func (s *state) number() string {
	number, _ := s.bubble.Load().(string)
	return number
}

// Run runs do in virtual time and returns its error. The context of do ends when ctx does, with the
// same cause. The error is a *FrozenError when the clock stood still, and a *LeftError when do returned
// before all it had started; what is left of such a run stays in the process.
//
// The generator that all of math/rand's functions share, which libraries draw from, begins at seed; only
// in programs that are built with randseednop=0.
func Run(ctx context.Context, seed uint64, do func(context.Context) error) error {
	select {
	case one <- struct{}{}:
		defer func() { <-one }()
	case <-ctx.Done():
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	}
	rand.Seed(int64(seed)) //nolint:staticcheck // there is no other way to what libraries draw from
	defer func() { rand.Seed(time.Now().UnixNano()) }()
	s := new(state)
	defer context.AfterFunc(ctx, func() { s.stopped.Store(true) })()
	over := make(chan error, 1)
	go func() { over <- inside(s, func() error { return context.Cause(ctx) }, do) }()
	return watch(ctx, s, over)
}

// inside is the bubble. cause is why the outside wants it to end.
func inside(s *state, cause func() error, do func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			all, _ := stacks()
			err = &LeftError{Reason: fmt.Sprint(p), Goroutines: of(s.number(), all)}
		}
	}()
	synctest.Test(new(testing.T), func(*testing.T) {
		s.bubble.Store(bubbleHere())
		ctx, cancel := context.WithCancelCause(context.Background())
		var beating sync.WaitGroup
		done := make(chan struct{})
		beating.Go(func() { s.beat(done, func() { cancel(cause()) }) })
		defer beating.Wait()
		defer close(done)
		err = protected(ctx, do)
		cancel(nil)
	})
	return err
}

// protected turns a panic into an error: it would end the process, since nobody outside can recover
// it.
func protected(ctx context.Context, do func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in virtual time: %v\n%s", p, debug.Stack())
		}
	}()
	return do(ctx)
}

// beat shows that time goes on until done is closed, and calls stop once when the outside has
// stopped.
func (s *state) beat(done <-chan struct{}, stop func()) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for told := false; ; {
		select {
		case <-tick.C:
			s.beats.Add(1)
			if s.stopped.Load() && !told {
				told = true
				stop()
			}
		case <-done:
			return
		}
	}
}

// LeftError is a run that returned while something that it had started still waited.
type LeftError struct {
	Reason     string // the runtime's
	Goroutines []Goroutine
}

func (e *LeftError) Error() string {
	text := "virtual time: " + e.Reason
	for i, g := range e.Goroutines {
		if i == 5 {
			return text + fmt.Sprintf("\n  … and %d more", len(e.Goroutines)-i)
		}
		text += "\n  " + g.String()
	}
	return text
}
