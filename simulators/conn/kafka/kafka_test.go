package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/conn/kafka"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	cluster "github.com/faultline-sim/faultline/topology/engine/embedded/kafka"
	"github.com/faultline-sim/faultline/topology/wire"
)

func start(t testing.TB, brokers int) *conntest.Site {
	t.Helper()
	return conntest.Start(t, cluster.New, engine.Config{
		Node: &topology.Node{Name: "stream", Brokers: brokers},
	})
}

// client is connected, and its topic declared.
func client(t testing.TB, s *conntest.Site, name string, parallel int) *kafka.Client {
	t.Helper()
	c := kafka.New(conn.Config{Dialer: s.Dialer(), Client: name})
	t.Cleanup(func() { c.Close() })
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	channels := []*topology.Channel{{Ref: "stream/events", Parallel: parallel}}
	if err := c.Declare(t.Context(), channels); err != nil {
		t.Fatal(err)
	}
	return c
}

func publish(t testing.TB, c conn.Broker, keys int, from, to int64) {
	t.Helper()
	conntest.Publish(t, c, "events", keys, from, to)
}

func TestDelivery(t *testing.T) {
	s := start(t, 1)
	c := client(t, s, "worker", 6)
	got := conntest.NewTally(nil)
	conntest.Subscribe(t, c, got.Handle)
	publish(t, c, 10, 0, 50)
	got.Wait(t, 500)
	got.Check(t, 10, 50)

	t.Run("audit/all consumed/reads all", func(t *testing.T) {
		found := 0
		err := c.Audit(t.Context(), "events", func(m *message.Message) error { found++; return nil })
		if err != nil || found != 500 {
			t.Errorf("found %d, %v", found, err)
		}
	})
	t.Run("depth/all consumed/falls to none", func(t *testing.T) {
		for {
			depth, err := c.Depth(t.Context(), "events", "worker")
			if err != nil {
				t.Fatal(err)
			}
			if depth == 0 {
				return
			}
		}
	})
	t.Run("depth/another group/all", func(t *testing.T) {
		depth, err := c.Depth(t.Context(), "events", "somebody")
		if err != nil || depth != 500 {
			t.Errorf("depth %d, %v", depth, err)
		}
	})
}

func TestDeclare(t *testing.T) {
	s := start(t, 1)
	c := client(t, s, "worker", 2)
	t.Run("declare/exists already/left as it is", func(t *testing.T) {
		again := []*topology.Channel{{Ref: "stream/events", Parallel: 9}}
		if err := c.Declare(t.Context(), again); err != nil {
			t.Error(err)
		}
	})
	t.Run("topic/never declared/told, and not as unknown", func(t *testing.T) {
		_, err := c.Publish(t.Context(), "nowhere", conntest.Letter("a", 0))
		if err == nil || errors.Is(err, conn.ErrUnknown) {
			t.Errorf("publish: %v", err)
		}
		err = c.Subscribe(t.Context(), conn.Subscription{Channel: "nowhere", Group: "worker"})
		if err == nil {
			t.Error("subscribed")
		}
	})
}

func TestSettle(t *testing.T) {
	s := start(t, 1)
	conntest.SettlesInOrder(t, func(name string) conn.Broker { return client(t, s, name, 1) })
}

func TestDisturbances(t *testing.T) {
	for _, c := range []struct {
		name    string
		brokers int
		disturb func(t *testing.T, s *conntest.Site)
	}{
		{"delivery/broker restarts/complete and in order", 1,
			func(t *testing.T, s *conntest.Site) { s.Restart(t, s.Engine.Stop) }},
		{"delivery/broker is killed/complete and in order", 1,
			func(t *testing.T, s *conntest.Site) { s.Restart(t, s.Engine.Kill) }},
		{"delivery/wire is cut/complete and in order", 1,
			func(t *testing.T, s *conntest.Site) { s.Break(t, wire.Fault{Kind: wire.Cut})() }},
		{"delivery/clients are disconnected/complete and in order", 3,
			func(t *testing.T, s *conntest.Site) {
				if n, err := s.Engine.(engine.Disconnecter).DisconnectAll(t.Context()); err != nil || n == 0 {
					t.Errorf("%d disconnected, %v", n, err)
				}
			}},
		{"delivery/leaders move/complete and in order", 3,
			func(t *testing.T, s *conntest.Site) {
				if n, err := s.Engine.(engine.LeaderMover).MoveLeaders(t.Context(), ""); err != nil || n != 6 {
					t.Errorf("%d moved, %v", n, err)
				}
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, c.brokers)
			producer, worker := client(t, s, "producer", 6), client(t, s, "worker", 6)
			got := conntest.NewTally(nil)
			conntest.Subscribe(t, worker, got.Handle)
			publish(t, producer, 10, 0, 20)
			c.disturb(t, s)
			publish(t, producer, 10, 20, 40)
			got.Wait(t, 400)
			got.Check(t, 10, 40)
		})
	}
}

func TestGroup(t *testing.T) {
	t.Run("scale/1 to 3 to 1/none lost, order kept", func(t *testing.T) {
		s := start(t, 1)
		conntest.GrowsAndShrinks(t, func(name string) conn.Broker { return client(t, s, name, 6) })
	})
	t.Run("takeover/a member crashes/the other one goes on", func(t *testing.T) {
		s := start(t, 1)
		conntest.TakesOver(t, func(name string) conn.Broker { return client(t, s, name, 2) })
	})
}

func TestBlackHole(t *testing.T) {
	s := start(t, 1)
	producer, worker := client(t, s, "producer", 2), client(t, s, "worker", 2)
	got := conntest.NewTally(nil)
	conntest.Subscribe(t, worker, got.Handle)
	publish(t, producer, 4, 0, 5)
	got.Wait(t, 20)
	heal := s.Break(t, wire.Fault{Kind: wire.Timeout, Direction: wire.Both})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := producer.Publish(ctx, "events", conntest.Letter("device0", 5))
	if !errors.Is(err, conn.ErrUnknown) {
		t.Errorf("into a black hole: %v", err)
	}
	heal()
	publish(t, producer, 4, 5, 10)
	got.Wait(t, 40)
	got.Check(t, 4, 10)
}

func TestLatency(t *testing.T) {
	s := start(t, 1)
	producer, worker := client(t, s, "producer", 2), client(t, s, "worker", 2)
	got := conntest.NewTally(nil)
	defer s.Break(t, wire.Fault{
		Kind: wire.Latency, Direction: wire.Both, Latency: 80 * time.Millisecond,
	})()
	conntest.Subscribe(t, worker, got.Handle)
	publish(t, producer, 4, 0, 3)
	got.Wait(t, 12)
	got.Check(t, 4, 3)
}

func TestStopped(t *testing.T) {
	s := start(t, 1)
	c := client(t, s, "producer", 1)
	publish(t, c, 1, 0, 1)
	if err := s.Engine.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The connection that is there may fail without an answer; a new one is refused.
	for {
		_, err := c.Publish(t.Context(), "events", conntest.Letter("device0", 1))
		if err == nil {
			t.Fatal("a stopped broker took a record")
		}
		if !errors.Is(err, conn.ErrUnknown) {
			break
		}
	}
	if err := s.Engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish(t, c, 1, 1, 2)
}

func TestClose(t *testing.T) {
	s := start(t, 1)
	before := runtime.NumGoroutine()
	for i := range 4 {
		c := kafka.New(conn.Config{Dialer: s.Dialer(), Client: fmt.Sprint("c", i)})
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := c.Declare(t.Context(), []*topology.Channel{{Ref: "stream/events", Parallel: 3}})
		if err != nil {
			t.Fatal(err)
		}
		conntest.Subscribe(t, c, func(d conn.Delivery) { d.Ack(context.Background()) })
		publish(t, c, 3, 0, 10)
		if i == 3 {
			c.Crash()
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Engine.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	conntest.NoneLeft(t, before)
}

// TestCloseBusy closes clients that have records on their way and more behind them, and asks once
// more: nothing that the library begins for a request outlives its client.
func TestCloseBusy(t *testing.T) {
	s := start(t, 1)
	client(t, s, "declarer", 3)
	before := runtime.NumGoroutine()
	for i := range 8 {
		c := kafka.New(conn.Config{Dialer: s.Dialer(), Client: fmt.Sprint("c", i)})
		publish(t, c, 3, 0, 1)
		var busy sync.WaitGroup
		for w := range 16 {
			busy.Go(func() {
				for n := int64(1); ; n++ {
					letter := conntest.Letter(fmt.Sprint("device", w), n)
					if _, err := c.Publish(t.Context(), "events", letter); err != nil {
						return
					}
				}
			})
		}
		if i%2 == 0 {
			c.Crash()
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		busy.Wait()
		if _, err := c.Depth(t.Context(), "events", "worker"); err == nil {
			t.Error("a closed client asked for a depth")
		}
	}
	conntest.NoneLeft(t, before)
}
