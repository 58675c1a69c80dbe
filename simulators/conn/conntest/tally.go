package conntest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn"
)

// Tally is what consumers were given: all deliveries, and for each key the sequence numbers in the
// order of their first arrival. It is safe for concurrent use.
type Tally struct {
	settle func(conn.Delivery)

	mu     sync.Mutex
	order  map[string][]int64
	copies map[string]int // by message
	all    []conn.Delivery
	grown  chan struct{} // closed at the next delivery
}

// NewTally makes a tally that settles each delivery as it is told; nil acknowledges.
func NewTally(settle func(conn.Delivery)) *Tally {
	if settle == nil {
		// What was taken away meanwhile is delivered again elsewhere.
		settle = func(d conn.Delivery) { _ = d.Ack(context.Background()) }
	}
	return &Tally{
		settle: settle, order: map[string][]int64{}, copies: map[string]int{},
		grown: make(chan struct{}),
	}
}

// Handle notes a delivery and settles it. It is a subscription's Handle.
func (y *Tally) Handle(d conn.Delivery) {
	y.Note(d)
	y.settle(d)
}

// Note counts a delivery and says which copy of its message it is, from 1.
func (y *Tally) Note(d conn.Delivery) int {
	y.mu.Lock()
	defer y.mu.Unlock()
	m := d.Message
	y.copies[m.ID()]++
	if y.copies[m.ID()] == 1 {
		y.order[m.Key] = append(y.order[m.Key], m.KeySeq)
	}
	y.all = append(y.all, d)
	close(y.grown)
	y.grown = make(chan struct{})
	return y.copies[m.ID()]
}

// Wait returns when n different messages were seen.
func (y *Tally) Wait(t testing.TB, n int) {
	t.Helper()
	y.until(t, func() bool { return len(y.copies) >= n })
}

// Deliveries returns all there are when they are n at least.
func (y *Tally) Deliveries(t testing.TB, n int) []conn.Delivery {
	t.Helper()
	return y.until(t, func() bool { return len(y.all) >= n })
}

func (y *Tally) until(t testing.TB, enough func() bool) []conn.Delivery {
	t.Helper()
	limit := time.After(Patience)
	for {
		y.mu.Lock()
		ok, grown, all, seen := enough(), y.grown, slices.Clone(y.all), len(y.copies)
		y.mu.Unlock()
		if ok {
			return all
		}
		select {
		case <-grown:
		case <-limit:
			t.Fatalf("%d messages in %d deliveries", seen, len(all))
		}
	}
}

// Check wants every key's numbers from 0 to n in order. See Publish.
func (y *Tally) Check(t testing.TB, keys int, n int64) {
	t.Helper()
	if diff := cmp.Diff(Sequence(keys, n), y.Order()); diff != "" {
		t.Error(diff)
	}
}

// Order is each key's numbers in the order of their first arrival.
func (y *Tally) Order() map[string][]int64 {
	y.mu.Lock()
	defer y.mu.Unlock()
	return maps.Clone(y.order)
}

// Sequence is what Publish sends: for each key the numbers from 0 to n.
func Sequence(keys int, n int64) map[string][]int64 {
	want := map[string][]int64{}
	for k := range keys {
		for seq := range n {
			want[fmt.Sprint("device", k)] = append(want[fmt.Sprint("device", k)], seq)
		}
	}
	return want
}
