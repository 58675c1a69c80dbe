package pubsub_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/conn/pubsub"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
)

func TestPublish(t *testing.T) {
	t.Run("everything set, long, unicode and empty/the same again", func(t *testing.T) {
		s := start(t)
		c := client(t, s, "one")
		for _, change := range []func(*message.Message){
			func(m *message.Message) {},
			func(m *message.Message) { m.Data = nil },
			func(m *message.Message) { m.Data = bytes.Repeat([]byte("a"), 1<<20) },
			func(m *message.Message) { m.Key, m.Subject = "방 \"3\"", "장치 17" },
			func(m *message.Message) { m.Key = strings.Repeat("긴", 2000) },
			func(m *message.Message) {
				m.Headers = map[string]string{"reason": strings.Repeat("그래서 ", 2000)}
			},
		} {
			m := conntest.Letter("device", 1).With(change)
			if _, err := c.Publish(t.Context(), "notes", m); err != nil {
				t.Fatal(err)
			}
			var last *message.Message
			err := c.Audit(t.Context(), "notes", func(m *message.Message) error {
				last = m
				return nil
			})
			if err != nil || last == nil || !bytes.Equal(m.Data, last.Data) {
				t.Fatalf("%v: the data differs", err)
			}
			m.Data, last.Data = nil, nil // cmp takes seconds for a megabyte
			if diff := cmp.Diff(m, last); diff != "" {
				t.Error(diff)
			}
		}
	})
	t.Run("larger than the service takes/refused", func(t *testing.T) {
		s := start(t)
		c := client(t, s, "one")
		for _, m := range []*message.Message{
			conntest.Letter("a", 1).With(func(m *message.Message) { m.Data = make([]byte, 10_000_001) }),
			conntest.Letter("a", 1).With(func(m *message.Message) {
				m.Headers = map[string]string{"reason": strings.Repeat("x", 200_000)}
			}),
		} {
			_, err := c.Publish(t.Context(), "notes", m)
			if !errors.Is(err, conn.ErrRefused) || !strings.Contains(err.Error(), "client -> bus") {
				t.Error(err)
			}
		}
	})
	t.Run("no such channel/refused, says what to do", func(t *testing.T) {
		s := start(t)
		c := client(t, s, "one")
		_, err := c.Publish(t.Context(), "nowhere", conntest.Letter("a", 1))
		if !errors.Is(err, conn.ErrRefused) || !strings.Contains(err.Error(), "declare the channel") {
			t.Error(err)
		}
		err = c.Subscribe(t.Context(), conn.Subscription{Channel: "nowhere", Group: "workers"})
		if !errors.Is(err, conn.ErrRefused) {
			t.Error(err)
		}
	})
	t.Run("broker down/certainly not written", func(t *testing.T) {
		s := start(t)
		c := client(t, s, "one")
		if err := s.Engine.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), conntest.Patience)
		defer cancel()
		for { // the first ones may have been on their way
			_, err := c.Publish(ctx, "notes", conntest.Letter("a", 1))
			if err == nil || ctx.Err() != nil {
				t.Fatal(err)
			}
			if !errors.Is(err, conn.ErrUnknown) {
				break
			}
		}
	})
	t.Run("black hole/unknown when ctx ends", func(t *testing.T) {
		s := start(t)
		c := client(t, s, "one")
		defer s.Break(t, wire.Fault{Kind: wire.Timeout, Direction: wire.Both})()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := c.Publish(ctx, "notes", conntest.Letter("a", 1))
		if !errors.Is(err, conn.ErrUnknown) {
			t.Error(err)
		}
	})
	t.Run("a channel for each id/unsupported", func(t *testing.T) {
		s := start(t)
		c := connect(t, s, "one")
		err := c.Declare(t.Context(), []*topology.Channel{{Ref: "bus/command/:id"}})
		if !errors.Is(err, conn.ErrUnsupported) {
			t.Error(err)
		}
	})
}

func TestFaults(t *testing.T) {
	t.Run("cut and healed, black hole and healed/all arrives in order", func(t *testing.T) {
		for _, kind := range []wire.Kind{wire.Cut, wire.Timeout} {
			t.Run(string(kind), func(t *testing.T) {
				s := start(t)
				c := client(t, s, "one")
				seen := conntest.NewTally(nil)
				subscribe(t, c, "events", "workers", seen.Handle)
				conntest.Publish(t, c, "events", 4, 0, 10)
				seen.Wait(t, 40)
				drained(t, s, "events", "workers")
				heal := s.Break(t, wire.Fault{Kind: kind, Direction: wire.Both})
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				if _, err := c.Publish(ctx, "notes", conntest.Letter("extra", 0)); err == nil {
					t.Error("published over a broken wire")
				}
				cancel()
				heal()
				conntest.Publish(t, c, "events", 6, 0, 30)
				seen.Wait(t, 6*30)
				seen.Check(t, 6, 30)
			})
		}
	})
	t.Run("engine stopped and killed/data kept, clients back", func(t *testing.T) {
		s := start(t)
		c := client(t, s, "one")
		conntest.Publish(t, c, "events", 3, 0, 10)
		s.Restart(t, s.Engine.Stop)
		s.Restart(t, s.Engine.Kill)
		seen := conntest.NewTally(nil)
		subscribe(t, c, "events", "workers", seen.Handle)
		seen.Wait(t, 30)
		s.Restart(t, s.Engine.Stop)
		conntest.Publish(t, c, "events", 3, 0, 20)
		seen.Wait(t, 60)
		seen.Check(t, 3, 20)
	})
	t.Run("crash/what it held goes to another", func(t *testing.T) {
		s := start(t)
		one, two := client(t, s, "one"), client(t, s, "two")
		held := make(chan conn.Delivery, 20)
		subscribe(t, one, "events", "workers", func(d conn.Delivery) { held <- d })
		conntest.Publish(t, two, "events", 3, 0, 5)
		for range 3 {
			conntest.Receive(t, held)
		}
		one.Crash()
		seen := conntest.NewTally(nil)
		subscribe(t, two, "events", "workers", seen.Handle)
		seen.Wait(t, 15)
		seen.Check(t, 3, 5)
		if err := one.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("leaving, closing/what it held goes to another at once", func(t *testing.T) {
		for name, leave := range map[string]func(*pubsub.Client, context.CancelFunc){
			"ctx":   func(_ *pubsub.Client, cancel context.CancelFunc) { cancel() },
			"close": func(c *pubsub.Client, _ context.CancelFunc) { c.Close() },
		} {
			t.Run(name, func(t *testing.T) {
				s := start(t)
				one, two := client(t, s, "one"), client(t, s, "two")
				held := make(chan conn.Delivery, 20)
				cancel := subscribe(t, one, "events", "workers", func(d conn.Delivery) { held <- d })
				conntest.Publish(t, two, "events", 3, 0, 5)
				late := conntest.Receive(t, held)
				leave(one, cancel)
				seen := conntest.NewTally(nil)
				subscribe(t, two, "events", "workers", seen.Handle)
				seen.Wait(t, 15)
				seen.Check(t, 3, 5)
				if err := late.Ack(t.Context()); err == nil {
					t.Error("acknowledged what was given back")
				}
			})
		}
	})
	t.Run("the consumer is slow/it keeps what it has", func(t *testing.T) {
		s := start(t)
		one, two := client(t, s, "one"), client(t, s, "two")
		held, other := make(chan conn.Delivery, 1), make(chan conn.Delivery, 1)
		subscribe(t, one, "jobs", "workers", func(d conn.Delivery) { held <- d })
		conntest.Publish(t, one, "jobs", 1, 0, 1)
		d := conntest.Receive(t, held)
		subscribe(t, two, "jobs", "workers", func(d conn.Delivery) { other <- d })
		select {
		case <-other:
			t.Error("given to another")
		case <-time.After(4 * time.Second): // the lease's time twice
		}
		if err := d.Ack(t.Context()); err != nil {
			t.Error(err)
		}
		drained(t, s, "jobs", "workers")
	})
}

func TestClose(t *testing.T) {
	for name, kind := range map[string]wire.Kind{
		"healthy": "", "cut": wire.Cut, "black hole": wire.Timeout,
	} {
		t.Run(name+"/nothing is left", func(t *testing.T) {
			s := start(t)
			client(t, s, "declarer").Close()
			before := runtime.NumGoroutine()
			c := client(t, s, "one")
			held := make(chan conn.Delivery, 20)
			subscribe(t, c, "events", "workers", func(d conn.Delivery) { held <- d })
			conntest.Publish(t, c, "events", 3, 0, 5)
			conntest.Receive(t, held)
			if kind != "" {
				defer s.Break(t, wire.Fault{Kind: kind, Direction: wire.Both})()
			}
			var waiting sync.WaitGroup
			for range 3 {
				waiting.Go(func() { _, _ = c.Publish(t.Context(), "events", conntest.Letter("late", 1)) })
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			waiting.Wait()
			if kind != wire.Timeout { // there the proxy holds its end
				conntest.NoneLeft(t, before)
			}
		})
	}
}

func TestState(t *testing.T) {
	t.Run("killed and started/told", func(t *testing.T) {
		s := start(t)
		states := make(chan string, 100)
		c := pubsub.New(conn.Config{
			Dialer: s.Dialer(), Client: "one", OnState: func(state string) { states <- state },
		})
		defer c.Close()
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Restart(t, s.Engine.Kill)
		var got []string
		for range 3 {
			got = append(got, conntest.Receive(t, states))
		}
		if want := []string{"connect", "disconnect", "connect"}; !slices.Equal(got, want) {
			t.Errorf("states %v", got)
		}
	})
}
