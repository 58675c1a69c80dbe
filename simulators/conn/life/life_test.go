package life_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn/life"
)

func TestBackoff(t *testing.T) {
	var got []time.Duration
	for _, n := range []int{1, 2, 3, 4, 5, 6, 100} {
		got = append(got, life.Backoff(n)/time.Millisecond)
	}
	if diff := cmp.Diff([]time.Duration{20, 40, 80, 160, 320, 500, 500}, got); diff != "" {
		t.Error(diff)
	}
}

func TestPause(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*life.Life, context.CancelFunc)
		want error
	}{
		"pause/nothing happens/over in time": {func(*life.Life, context.CancelFunc) {}, nil},
		"pause/context has ended/told": {
			func(_ *life.Life, cancel context.CancelFunc) { cancel() }, context.Canceled},
		"pause/client has ended/told": {
			func(l *life.Life, _ context.CancelFunc) { l.End() }, life.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := life.New()
				defer l.End()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				c.end(l, cancel)
				begun := time.Now()
				if err := l.PauseBefore(ctx, 2); !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
				if took := time.Since(begun); c.want == nil && took != life.Backoff(2) {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestLeave wants subscriptions told to end while what they need still works, and nothing begun
// behind that.
func TestLeave(t *testing.T) {
	l := life.New()
	var order []string
	ended, err := l.Stay(t.Context(), func(ctx context.Context) {
		<-ctx.Done()
		beside := make(chan struct{})
		l.Beside(func() { close(beside) })
		<-beside
		if l.Err() == nil && !l.Crashed() {
			order = append(order, "subscription has said goodbye")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	l.Go(func() { <-l.Done(); order = append(order, "work has ended") })
	l.Leave()
	<-ended
	if _, err := l.Stay(t.Context(), nil); !errors.Is(err, life.ErrClosed) || l.Go(nil) {
		t.Errorf("something began in a client that is closing: %v", err)
	}
	l.End()
	l.Wait()
	want := []string{"subscription has said goodbye", "work has ended"}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Error(diff)
	}
}

func TestStay(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*life.Life, context.CancelFunc)
		want error // of the client's context
	}{
		"stay/its context ends/the client goes on": {
			func(_ *life.Life, cancel context.CancelFunc) { cancel() }, nil},
		"stay/client crashes/ended at once": {
			func(l *life.Life, _ context.CancelFunc) { l.Crash(); l.End() }, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			l := life.New()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var seen error
			ended, err := l.Stay(ctx, func(ctx context.Context) { <-ctx.Done(); seen = l.Err() })
			if err != nil {
				t.Fatal(err)
			}
			c.end(l, cancel)
			<-ended
			if !errors.Is(seen, c.want) {
				t.Errorf("got %v, want %v", seen, c.want)
			}
			l.Leave()
			l.End()
			l.Wait()
		})
	}
}
