package runner

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOneAtATimeUsesAnEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &run{turns: map[string]chan struct{}{
			"queue": make(chan struct{}, 1), "archive": make(chan struct{}, 1),
		}}
		done := make(chan string, 3)
		use := func(ctx context.Context, node, who string, takes time.Duration) error {
			return r.Turn(ctx, node, func() error {
				time.Sleep(takes)
				done <- who
				return nil
			})
		}
		var others sync.WaitGroup
		others.Go(func() { use(t.Context(), "queue", "first", time.Second) })
		synctest.Wait()
		if err := use(t.Context(), "archive", "elsewhere", 0); err != nil {
			t.Fatal(err)
		}
		hurried, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		others.Go(func() { use(t.Context(), "queue", "second", time.Second) })
		if err := use(hurried, "queue", "late", 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v of who could not wait, want the deadline's", err)
		}
		others.Wait()
		close(done)
		var got []string
		for who := range done {
			got = append(got, who)
		}
		if diff := cmp.Diff([]string{"elsewhere", "first", "second"}, got); diff != "" {
			t.Errorf("done in turn (-want +got):\n%s", diff)
		}
	})
}
