package pubsub_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/conn/pubsub"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	service "github.com/faultline-sim/faultline/topology/engine/embedded/pubsub"
	"github.com/faultline-sim/faultline/topology/policy"
)

// channels are an ordered one with two groups, one that dead-letters natively, and one without
// groups.
func channels() []*topology.Channel {
	return []*topology.Channel{
		{Ref: "bus/events", Key: "device", Groups: []string{"workers", "archive"}},
		{Ref: "bus/jobs", Groups: []string{"workers", "others"},
			DeadLetter: &policy.DeadLetter{Attempts: 5, Native: true, Channel: "bus/jobs.dead"}},
		{Ref: "bus/notes"},
	}
}

func start(t testing.TB) *conntest.Site {
	t.Helper()
	return conntest.Start(t, service.New, engine.Config{
		Node: &topology.Node{Name: "bus"}, Channels: channels(),
	})
}

// connect makes a connected client that the test closes.
func connect(t testing.TB, s *conntest.Site, name string) *pubsub.Client {
	t.Helper()
	c := pubsub.New(conn.Config{Dialer: s.Dialer(), Client: name})
	t.Cleanup(func() { c.Close() })
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// client is connected, and the channels declared.
func client(t testing.TB, s *conntest.Site, name string) *pubsub.Client {
	t.Helper()
	c := connect(t, s, name)
	if err := c.Declare(t.Context(), channels()); err != nil {
		t.Fatal(err)
	}
	return c
}

func subscribe(
	t testing.TB, c conn.Broker, channel, group string, handle func(conn.Delivery),
) (leave context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	err := c.Subscribe(ctx, conn.Subscription{Channel: channel, Group: group, Handle: handle})
	if err != nil {
		t.Fatal(err)
	}
	return cancel
}

// audit is the numbers of all messages in a channel, sorted.
func audit(t testing.TB, c conn.Broker, channel string) []int64 {
	t.Helper()
	var found []int64
	err := c.Audit(t.Context(), channel, func(m *message.Message) error {
		found = append(found, m.Number)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

// emptied waits until nobody holds anything at the engine any more.
func emptied(t testing.TB, s *conntest.Site) {
	t.Helper()
	conntest.Eventually(t, "nobody to hold anything", func() (any, bool) {
		held := s.Engine.(engine.Holder).Held()
		return held, len(held) == 0
	})
}

func TestOrder(t *testing.T) {
	t.Run("competing consumers, one comes later and goes/each key in order", func(t *testing.T) {
		s := start(t)
		seen := conntest.NewTally(nil)
		producer, one, two := client(t, s, "producer"), client(t, s, "one"), client(t, s, "two")
		subscribe(t, one, "events", "workers", seen.Handle)
		half := make(chan struct{})
		leave := subscribe(t, two, "events", "workers", func(d conn.Delivery) {
			seen.Handle(d)
			if d.Message.KeySeq == 20 && d.Message.Key == "device3" {
				close(half)
			}
		})
		go func() {
			select {
			case <-half: // if it is this one that gets it
			case <-t.Context().Done():
			}
			leave()
		}()
		conntest.Publish(t, producer, "events", 8, 0, 100)
		seen.Wait(t, 800)
		seen.Check(t, 8, 100)
	})
	t.Run("some given back/what follows waits", func(t *testing.T) {
		s := start(t)
		seen := conntest.NewTally(nil)
		handled := map[string][]int64{}
		var mu sync.Mutex
		handle := func(d conn.Delivery) {
			if copies := seen.Note(d); copies == 1 && d.Message.KeySeq%5 == 2 {
				_ = d.Nack(t.Context())
				return
			}
			mu.Lock()
			handled[d.Message.Key] = append(handled[d.Message.Key], d.Message.KeySeq)
			mu.Unlock()
			_ = d.Ack(t.Context())
		}
		for _, name := range []string{"one", "two"} {
			subscribe(t, client(t, s, name), "events", "workers", handle)
		}
		conntest.Publish(t, client(t, s, "producer"), "events", 4, 0, 50)
		seen.Wait(t, 200)
		drained(t, s, "events", "workers")
		mu.Lock()
		defer mu.Unlock()
		for key, seqs := range handled {
			if !slices.IsSorted(seqs) || len(seqs) != 50 {
				t.Errorf("%s was handled in the order %v", key, seqs)
			}
		}
	})
}

// drained waits until a group has nothing left at the engine.
func drained(t testing.TB, s *conntest.Site, channel, group string) {
	t.Helper()
	at := engine.Waiting{Channel: channel, Client: group + "-0"}
	conntest.Eventually(t, "the group to be done", func() (any, bool) {
		n := s.Engine.(engine.Holder).Held()[at]
		return n, n == 0
	})
}

func TestDelivery(t *testing.T) {
	t.Run("published before the group subscribes/kept", func(t *testing.T) {
		s := start(t)
		c := client(t, s, "one")
		conntest.Publish(t, c, "events", 2, 0, 10)
		for _, group := range []string{"workers", "archive"} {
			seen := conntest.NewTally(nil)
			subscribe(t, c, "events", group, seen.Handle)
			seen.Wait(t, 20)
			seen.Check(t, 2, 10)
		}
		emptied(t, s)
	})
	t.Run("settled twice/told", func(t *testing.T) {
		s := start(t)
		c := client(t, s, "one")
		deliveries := make(chan conn.Delivery, 1)
		subscribe(t, c, "events", "workers", func(d conn.Delivery) { deliveries <- d })
		conntest.Publish(t, c, "events", 1, 0, 1)
		d := conntest.Receive(t, deliveries)
		if err := errors.Join(d.Ack(t.Context()), d.Ack(t.Context())); err == nil {
			t.Error("no error")
		}
	})
	t.Run("a group that was not declared/what comes from then on", func(t *testing.T) {
		s := start(t)
		c := client(t, s, "one")
		seen := conntest.NewTally(nil)
		subscribe(t, c, "events", "late comers", seen.Handle)
		conntest.Publish(t, c, "events", 2, 0, 5)
		seen.Wait(t, 10)
		seen.Check(t, 2, 5)
	})
}

func TestDeadLetter(t *testing.T) {
	t.Run("given back five times/there with each attempt counted, the other group untouched",
		func(t *testing.T) {
			s := start(t)
			c := client(t, s, "one")
			attempts, others := make(chan int, 10), make(chan int, 10)
			subscribe(t, c, "jobs", "workers", func(d conn.Delivery) {
				attempts <- d.Attempt
				_ = d.Nack(t.Context())
			})
			conntest.Publish(t, c, "jobs", 1, 0, 1)
			for want := 1; want <= 5; want++ {
				if got := conntest.Receive(t, attempts); got != want {
					t.Fatalf("attempt %d, want %d", got, want)
				}
			}
			subscribe(t, c, "jobs", "others", func(d conn.Delivery) {
				others <- d.Attempt
				_ = d.Ack(t.Context())
			})
			if got := conntest.Receive(t, others); got != 1 {
				t.Errorf("the other group's attempt is %d", got)
			}
			emptied(t, s)
			for range 2 {
				if diff := cmp.Diff([]int64{0}, audit(t, c, "jobs.dead")); diff != "" {
					t.Error(diff)
				}
			}
			if len(attempts) > 0 {
				t.Error("delivered a sixth time")
			}
		})
	t.Run("attempts beyond what the service takes/unsupported", func(t *testing.T) {
		s := start(t)
		c := connect(t, s, "one")
		for _, attempts := range []int{1, 4, 101} {
			err := c.Declare(t.Context(), []*topology.Channel{{
				Ref: "bus/jobs", DeadLetter: &policy.DeadLetter{Attempts: attempts, Native: true},
			}})
			if !errors.Is(err, conn.ErrUnsupported) {
				t.Errorf("%d attempts: %v", attempts, err)
			}
		}
	})
}

func TestAudit(t *testing.T) {
	t.Run("no groups/all of it, each once, again and again", func(t *testing.T) {
		s := start(t)
		c := client(t, s, "one")
		conntest.Publish(t, c, "notes", 1, 0, 1500)
		want := make([]int64, 1500)
		for i := range want {
			want[i] = int64(i)
		}
		for range 2 {
			if diff := cmp.Diff(want, audit(t, c, "notes")); diff != "" {
				t.Fatal(diff)
			}
		}
	})
	t.Run("ended by who reads/all is there again", func(t *testing.T) {
		s := start(t)
		c := client(t, s, "one")
		conntest.Publish(t, c, "notes", 1, 0, 10)
		enough := errors.New("enough")
		err := c.Audit(t.Context(), "notes", func(*message.Message) error { return enough })
		if !errors.Is(err, enough) {
			t.Fatal(err)
		}
		if got := audit(t, c, "notes"); len(got) != 10 {
			t.Errorf("found %v", got)
		}
	})
	t.Run("groups/not without taking it from them", func(t *testing.T) {
		s := start(t)
		c := client(t, s, "one")
		err := c.Audit(t.Context(), "events", func(*message.Message) error { return nil })
		if !errors.Is(err, conn.ErrUnsupported) {
			t.Error(err)
		}
		if _, err := c.Depth(t.Context(), "events", "workers"); !errors.Is(err, conn.ErrUnsupported) {
			t.Error(err)
		}
	})
}
