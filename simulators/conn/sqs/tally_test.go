package sqs_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/conn/sqs"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
)

// patience bounds every wait; nothing that works takes as long.
const patience = 30 * time.Second

// client is connected.
func client(t testing.TB, s *conntest.Site, name string) *sqs.Client {
	t.Helper()
	c := sqs.New(conn.Config{Dialer: s.Dialer(), Client: name})
	t.Cleanup(func() { c.Close() })
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func declare(t testing.TB, c conn.Broker, channels ...*topology.Channel) {
	t.Helper()
	if err := c.Declare(t.Context(), channels); err != nil {
		t.Fatal(err)
	}
}

// keyed is a channel with order.
func keyed(name string) *topology.Channel {
	return &topology.Channel{Ref: "cloud/" + name, Key: "device", Groups: []string{"worker"}}
}

func plain(name string) *topology.Channel {
	return &topology.Channel{Ref: "cloud/" + name, Groups: []string{"worker"}}
}

// dying is a channel whose messages go to another by the service after so many deliveries.
func dying(ch *topology.Channel, attempts int) *topology.Channel {
	ch.DeadLetter = &policy.DeadLetter{Attempts: attempts, Channel: ch.Ref + ".dead", Native: true}
	return ch
}

func letter(key string, seq int64) *message.Message {
	return &message.Message{
		Flow: "telemetry-" + key, Number: seq, Source: "test", Key: key, KeySeq: seq,
		ParentNumber: -1, Data: []byte(`{"temp": 21.5}`),
	}
}

// publish sends a sequence for each key, keys side by side, each message until it is answered.
func publish(t testing.TB, c conn.Broker, channel string, keys int, from, to int64) {
	t.Helper()
	var all sync.WaitGroup
	for k := range keys {
		all.Go(func() {
			for seq := from; seq < to; seq++ {
				for {
					_, err := c.Publish(t.Context(), channel, letter(fmt.Sprint("device", k), seq))
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
// arrival.
type tally struct {
	settle func(conn.Delivery)

	mu    sync.Mutex
	order map[string][]int64
	had   map[string]bool
	all   []conn.Delivery
	grown chan struct{}
}

func newTally(settle func(conn.Delivery)) *tally {
	if settle == nil {
		settle = func(d conn.Delivery) { _ = d.Ack(context.Background()) }
	}
	return &tally{
		settle: settle, order: map[string][]int64{}, had: map[string]bool{},
		grown: make(chan struct{}),
	}
}

func (y *tally) handle(d conn.Delivery) {
	y.mu.Lock()
	m := d.Message
	if !y.had[m.ID()] {
		y.had[m.ID()] = true
		y.order[m.Key] = append(y.order[m.Key], m.KeySeq)
	}
	y.all = append(y.all, d)
	close(y.grown)
	y.grown = make(chan struct{})
	y.mu.Unlock()
	y.settle(d)
}

// wait returns when n different messages were seen.
func (y *tally) wait(t testing.TB, n int) {
	t.Helper()
	y.until(t, func() bool { return len(y.had) >= n })
}

func (y *tally) until(t testing.TB, enough func() bool) []conn.Delivery {
	t.Helper()
	limit := time.After(patience)
	for {
		y.mu.Lock()
		ok, grown, all := enough(), y.grown, y.all
		y.mu.Unlock()
		if ok {
			return all
		}
		select {
		case <-grown:
		case <-limit:
			t.Fatalf("%d messages in %d deliveries", len(y.had), len(all))
		}
	}
}

func (y *tally) deliveries(t testing.TB, n int) []conn.Delivery {
	t.Helper()
	return y.until(t, func() bool { return len(y.all) >= n })
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

func subscribe(t testing.TB, c conn.Broker, channel string, handle func(conn.Delivery)) {
	t.Helper()
	err := c.Subscribe(t.Context(), conn.Subscription{
		Channel: channel, Group: "worker", Handle: handle,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// depthIs waits for a count.
func depthIs(t testing.TB, c conn.Broker, channel string, want int64) {
	t.Helper()
	limit := time.After(patience)
	for {
		n, err := c.Depth(t.Context(), channel, "worker")
		if err == nil && n == want {
			return
		}
		select {
		case <-limit:
			t.Fatalf("depth %d, %v, want %d", n, err, want)
		default:
		}
	}
}

// audited is how often each message is found.
func audited(t testing.TB, c conn.Broker, channel string) map[string]int {
	t.Helper()
	found := map[string]int{}
	err := c.Audit(t.Context(), channel, func(m *message.Message) error {
		found[m.ID()]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func ids(key string, n int64) map[string]int {
	all := map[string]int{}
	for seq := range n {
		all[letter(key, seq).ID()] = 1
	}
	return all
}

// noneLeft waits for the goroutines that are on their way out: what the wire held back is carried
// out by the server behind the heal, and its connections end with it.
func noneLeft(t *testing.T, before int) {
	t.Helper()
	for begun := time.Now(); runtime.NumGoroutine() > before && time.Since(begun) < patience; {
		time.Sleep(5 * time.Millisecond)
	}
	conntest.NoneLeft(t, before)
}
