package bubble

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestTimeGoesByInNoTime(t *testing.T) {
	begun := time.Now()
	var took time.Duration
	err := Run(t.Context(), 1, func(ctx context.Context) error {
		inside := time.Now()
		time.Sleep(time.Hour)
		took = time.Since(inside)
		return ctx.Err()
	})
	if err != nil || took != time.Hour {
		t.Errorf("slept for %s: %v", took, err)
	}
	if real := time.Since(begun); real > time.Minute {
		t.Errorf("an hour took %s", real)
	}
}

func TestTheErrorIsThatOfTheRun(t *testing.T) {
	want := errors.New("it does not work")
	if err := Run(t.Context(), 1, func(context.Context) error { return want }); err != want {
		t.Errorf("got %v", err)
	}
}

func TestACancelledContextEndsTheRun(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the user has had enough")
	err := Run(ctx, 1, func(inner context.Context) error {
		cancel(why)
		<-inner.Done()
		return context.Cause(inner)
	})
	if !errors.Is(err, why) {
		t.Errorf("ended with %v, want %v", err, why)
	}
}

func TestAPanicIsAnError(t *testing.T) {
	err := Run(t.Context(), 1, func(context.Context) error { panic("nobody expects it") })
	if err == nil || !strings.Contains(err.Error(), "nobody expects it") {
		t.Errorf("got %v", err)
	}
}

// guarded is something with a lock, that is held over a wait.
type guarded struct{ mu sync.Mutex }

// Of a call that is inlined the runtime does not print what it is a method of.
//
//go:noinline
func (g *guarded) waitInside(release chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-release:
	case <-time.After(time.Hour):
	}
}

//go:noinline
func (g *guarded) touch() {
	g.mu.Lock()
	defer g.mu.Unlock()
}

func TestAClockThatStandsStillIsFoundAndItsHolderNamed(t *testing.T) {
	var g guarded
	err := Run(t.Context(), 1, func(context.Context) error {
		inside := make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() { g.waitInside(inside) })
		time.Sleep(time.Second)
		all.Go(func() { g.touch() })
		all.Wait()
		return nil
	})
	var frozen *FrozenError
	if !errors.As(err, &frozen) {
		t.Fatalf("got %v, want a frozen clock", err)
	}
	if frozen.At != time.Second {
		t.Errorf("frozen at %s, want 1s", frozen.At)
	}
	if len(frozen.Waiting) != 1 || !strings.Contains(frozen.Waiting[0].String(), "touch") {
		t.Errorf("waiting: %v", frozen.Waiting)
	}
	if len(frozen.Holders) != 1 || !strings.Contains(frozen.Holders[0].String(), "waitInside") {
		t.Errorf("holders: %v", frozen.Holders)
	}
}

func TestWhatIsLeftIsNamed(t *testing.T) {
	err := Run(t.Context(), 1, func(context.Context) error {
		never := make(chan struct{})
		go func() { <-never }()
		return nil
	})
	var left *LeftError
	if !errors.As(err, &left) || !strings.Contains(err.Error(), "TestWhatIsLeftIsNamed") {
		t.Errorf("got %v, want what was left", err)
	}
}

func TestLongWorkIsNotFrozen(t *testing.T) {
	err := Run(t.Context(), 1, func(context.Context) error {
		for begun := realClock(); realClock()-begun < frozenAfter+time.Second; {
		}
		return nil
	})
	if err != nil {
		t.Errorf("work without a wait: %v", err)
	}
}
