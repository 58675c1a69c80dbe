package kinesis_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
)

func letter(key string, seq int64) *message.Message {
	return &message.Message{
		Flow: "telemetry-" + key, Number: seq, Source: "test", Key: key, KeySeq: seq,
		ParentNumber: -1, Data: []byte(`{"temp": 21.5}`),
	}
}

// publish sends a sequence for each key, keys side by side.
func publish(t testing.TB, c conn.Broker, keys int, from, to int64) {
	t.Helper()
	var all sync.WaitGroup
	for k := range keys {
		all.Go(func() {
			for seq := from; seq < to; seq++ {
				m := letter(fmt.Sprint("device", k), seq)
				for {
					_, err := c.Publish(t.Context(), "events", m)
					if err == nil {
						break
					}
					if t.Context().Err() != nil || errors.Is(err, conn.ErrRefused) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	all.Wait()
}

// tally is what consumers saw: for each key the sequence numbers in the order of their first
// arrival, and how many copies came.
type tally struct {
	mu     sync.Mutex
	order  map[string][]int64
	copies map[string]map[int64]int
	seen   int
	grown  chan struct{}
}

func newTally() *tally {
	return &tally{
		order: map[string][]int64{}, copies: map[string]map[int64]int{}, grown: make(chan struct{}),
	}
}

func (y *tally) handle(d conn.Delivery) {
	y.mu.Lock()
	key, seq := d.Message.Key, d.Message.KeySeq
	if y.copies[key] == nil {
		y.copies[key] = map[int64]int{}
	}
	if y.copies[key][seq]++; y.copies[key][seq] == 1 {
		y.order[key] = append(y.order[key], seq)
		y.seen++
	}
	close(y.grown)
	y.grown = make(chan struct{})
	y.mu.Unlock()
	_ = d.Ack(context.Background()) // a shard taken away is delivered again elsewhere
}

// wait returns when n different messages were seen.
func (y *tally) wait(t testing.TB, n int) {
	t.Helper()
	limit := time.After(30 * time.Second) // far beyond anything that works
	for {
		y.mu.Lock()
		seen, grown := y.seen, y.grown
		y.mu.Unlock()
		if seen >= n {
			return
		}
		select {
		case <-grown:
		case <-limit:
			t.Fatalf("%d of %d messages", seen, n)
		}
	}
}

// check wants every key's numbers from 0 to n in order.
func (y *tally) check(t testing.TB, keys int, n int64) {
	t.Helper()
	want := map[string][]int64{}
	for k := range keys {
		for seq := range n {
			want[fmt.Sprint("device", k)] = append(want[fmt.Sprint("device", k)], seq)
		}
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	if diff := cmp.Diff(want, y.order); diff != "" {
		t.Error(diff)
	}
}

// depthIs asks until the depth is as wanted.
func depthIs(t testing.TB, c conn.Broker, group string, want int64) {
	t.Helper()
	limit := time.Now().Add(20 * time.Second)
	for {
		depth, err := c.Depth(t.Context(), "events", group)
		if err != nil {
			t.Fatal(err)
		}
		if depth == want {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("depth is %d, want %d", depth, want)
		}
	}
}

// one is the next delivery.
func one(t testing.TB, held <-chan conn.Delivery) conn.Delivery {
	t.Helper()
	select {
	case d := <-held:
		return d
	case <-time.After(30 * time.Second): // far beyond anything that works
		t.Fatal("no delivery")
		return conn.Delivery{}
	}
}
