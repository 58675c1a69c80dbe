package handout_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/handout"
)

// consumer keeps what it is handed until it is told to settle it.
type consumer struct {
	mu   sync.Mutex
	all  []int64 // offsets as they were handed out
	hand []conn.Delivery
}

func (c *consumer) handle(d conn.Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, d.Offset)
	c.hand = append(c.hand, d)
}

// take gives the i-th delivery in hand away.
func (c *consumer) take(i int) conn.Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.hand[i]
	c.hand = slices.Delete(c.hand, i, i+1)
	return d
}

func (c *consumer) handed() []int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

func offer(q *handout.Queue, offset int64, acked func()) {
	q.Offer(conn.Delivery{Offset: offset, Ack: func(context.Context) error { acked(); return nil }})
}

func TestQueue(t *testing.T) {
	ctx := context.Background()
	begin := func(prefetch int, offers int64) (*handout.Queue, *consumer, *int) {
		c, acked := &consumer{}, new(int)
		q := handout.New(prefetch, c.handle)
		for i := range offers {
			offer(q, i, func() { *acked++ })
		}
		synctest.Wait()
		return q, c, acked
	}

	t.Run("prefetch/more offered/that many handed out", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, c, acked := begin(2, 5)
			if err := c.take(1).Ack(ctx); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if diff := cmp.Diff([]int64{0, 1, 2}, c.handed()); diff != "" || *acked != 1 {
				t.Errorf("%d acked, %s", *acked, diff)
			}
			q.Close()
		})
	})
	t.Run("nack/others wait/the same first, redelivered", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, c, acked := begin(1, 3)
			for range 2 {
				if err := c.take(0).Nack(ctx); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			again := c.take(0)
			if !again.Redelivered || again.Offset != 0 {
				t.Errorf("offset %d, redelivered %v", again.Offset, again.Redelivered)
			}
			if err := again.Ack(ctx); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if diff := cmp.Diff([]int64{0, 0, 0, 1}, c.handed()); diff != "" || *acked != 1 {
				t.Errorf("%d acked, %s", *acked, diff)
			}
			q.Close()
		})
	})
	t.Run("ack/the broker's fails/told and accounted for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, broken := &consumer{}, errors.New("broken")
			q := handout.New(1, c.handle)
			q.Offer(conn.Delivery{Ack: func(context.Context) error { return broken }})
			synctest.Wait()
			if err := c.take(0).Ack(ctx); err != broken {
				t.Errorf("error %v", err)
			}
			if err := q.Settled(ctx); err != nil {
				t.Error(err)
			}
			q.Close()
		})
	})
	t.Run("room/queue full/waits for a hand-out", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, c, _ := begin(2, 4)
			room := make(chan error, 1)
			go func() { room <- q.Room(ctx) }()
			synctest.Wait()
			if len(room) != 0 {
				t.Fatal("there is room before anything was handed out")
			}
			c.take(0).Ack(ctx)
			if err := <-room; err != nil {
				t.Error(err)
			}
			q.Close()
		})
	})
	t.Run("settled/ctx ends/its error", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, _, _ := begin(2, 1)
			ended, cancel := context.WithCancel(ctx)
			cancel()
			if err := q.Settled(ended); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			if err := q.Room(ended); err != nil {
				t.Errorf("room: %v", err)
			}
			q.Close()
		})
	})
	t.Run("close/some waiting/not handed out", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, c, _ := begin(1, 3)
			q.Close()
			c.take(0).Ack(ctx)
			offer(q, 9, func() {})
			synctest.Wait()
			if diff := cmp.Diff([]int64{0}, c.handed()); diff != "" {
				t.Error(diff)
			}
		})
	})
}

// TestOrder wants that, whatever is acknowledged and given back, deliveries are handed out for the
// first time in their order, each settled once, never more than the prefetch at once.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		prefetch := rapid.IntRange(1, 5).Draw(rt, "prefetch")
		offers := rapid.Int64Range(1, 20).Draw(rt, "offers")
		c, settled := &consumer{}, make(map[int64]int)
		q := handout.New(prefetch, c.handle)
		for i := range offers {
			offer(q, i, func() { settled[i]++ })
		}
		for int64(len(settled)) < offers {
			c.mu.Lock()
			inHand := len(c.hand)
			c.mu.Unlock()
			if inHand == 0 {
				continue // the handing goroutine is about to
			}
			if inHand > prefetch {
				rt.Fatalf("%d in hand", inHand)
			}
			d := c.take(rapid.IntRange(0, inHand-1).Draw(rt, "which"))
			if rapid.IntRange(0, 3).Draw(rt, "how") == 0 {
				d.Nack(context.Background())
			} else {
				d.Ack(context.Background())
			}
		}
		q.Close()
		seen := map[int64]bool{}
		first := slices.DeleteFunc(c.handed(), func(o int64) bool {
			had := seen[o]
			seen[o] = true
			return had
		})
		if !slices.IsSorted(first) || int64(len(first)) != offers {
			rt.Fatalf("handed out %v", c.handed())
		}
		for offset, n := range settled {
			if n != 1 {
				rt.Fatalf("offset %d settled %d times", offset, n)
			}
		}
	})
}
