package kinesis_test

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/conn/kinesis"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
	"github.com/faultline-sim/faultline/topology/wire"
)

func TestDelivery(t *testing.T) {
	s := start(t)
	c := client(t, s, "worker", 6)
	got := conntest.NewTally(nil)
	conntest.Subscribe(t, c, got.Handle)
	publish(t, c, 10, 0, 50)
	got.Wait(t, 500)
	got.Check(t, 10, 50)

	t.Run("audit/all consumed/reads all, each once", func(t *testing.T) {
		found := map[string]int{}
		err := c.Audit(t.Context(), "events", func(m *message.Message) error {
			found[m.ID()]++
			return nil
		})
		if err != nil || len(found) != 500 {
			t.Errorf("found %d, %v", len(found), err)
		}
		for id, n := range found {
			if n != 1 {
				t.Errorf("%s was found %d times", id, n)
			}
		}
	})
	t.Run("depth/all consumed/falls to none", func(t *testing.T) { depthIs(t, c, "worker", 0) })
	t.Run("depth/another group/all", func(t *testing.T) { depthIs(t, c, "somebody", 500) })
}

func TestDeclare(t *testing.T) {
	s := start(t)
	c := client(t, s, "worker", 2)
	t.Run("declare/exists already/left as it is", func(t *testing.T) {
		publish(t, c, 1, 0, 3)
		declare(t, c, "events", 9)
		depthIs(t, c, "worker", 3)
	})
	t.Run("declare/several at once/all may", func(t *testing.T) {
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { declare(t, connected(t, s, "other"), "a/b.c/%ü", 3) })
		}
		all.Wait()
		if _, err := c.Publish(t.Context(), "a/b.c/%ü", conntest.Letter("a", 0)); err != nil {
			t.Error(err)
		}
	})
	t.Run("declare/native dead-lettering/unsupported", func(t *testing.T) {
		err := c.Declare(t.Context(), []*topology.Channel{
			{Ref: "stream/events", DeadLetter: &policy.DeadLetter{Native: true}},
		})
		if !errors.Is(err, conn.ErrUnsupported) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("channel/never declared/refused by name", func(t *testing.T) {
		_, err := c.Publish(t.Context(), "nowhere", conntest.Letter("a", 0))
		refused(t, err, "client -> cloud", "nowhere")
		err = c.Subscribe(t.Context(), conn.Subscription{Channel: "nowhere", Group: "worker"})
		refused(t, err, "client -> cloud", "nowhere")
	})
}

func refused(t testing.TB, err error, names ...string) {
	t.Helper()
	if !errors.Is(err, conn.ErrRefused) {
		t.Errorf("error %v, want one that is refused", err)
		return
	}
	for _, name := range names {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not name %q", err, name)
		}
	}
}

func TestBodies(t *testing.T) {
	s := start(t)
	c := client(t, s, "worker", 1)
	bodies := map[string][]byte{
		"empty":           nil,
		"unicode":         []byte(`{"name": "Zoë ☃ \u0000", "k":1 }`),
		"binary":          {0, 255, 10, 13, 0xc3, 0x28},
		"large JSON":      []byte(`{"pad": "` + strings.Repeat("x", 1<<20-1000) + `"}`),
		"large, not JSON": make([]byte, 3<<18-1000),
	}
	var sent []*message.Message
	for name, body := range bodies {
		m := conntest.Letter("a", int64(len(sent))).With(func(m *message.Message) {
			m.Data, m.Headers = body, map[string]string{"case": name}
		})
		sent = append(sent, m)
		if _, err := c.Publish(t.Context(), "events", m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	got := make(chan conn.Delivery, len(sent))
	conntest.Subscribe(t, c, func(d conn.Delivery) { got <- d })
	for _, want := range sent {
		d := conntest.Receive(t, got)
		if diff := cmp.Diff(want, d.Message, cmp.Comparer(bytes.Equal)); diff != "" || d.Err != nil {
			t.Errorf("%v %.2000s", d.Err, diff)
		}
	}
	t.Run("body/above the limit/refused by name", func(t *testing.T) {
		m := conntest.Letter("a", 9).With(func(m *message.Message) { m.Data = make([]byte, 1<<20) })
		_, err := c.Publish(t.Context(), "events", m)
		refused(t, err, "client -> cloud", "events", "1048576")
	})
	t.Run("key/too long for a partition key/goes by its hash", func(t *testing.T) {
		m := conntest.Letter(strings.Repeat("ü", 300), 0)
		if _, err := c.Publish(t.Context(), "events", m); err != nil {
			t.Fatal(err)
		}
		if d := conntest.Receive(t, got); d.Err != nil || d.Message.Key != m.Key {
			t.Errorf("got %+v", d)
		}
	})
}

func TestSettle(t *testing.T) {
	s := start(t)
	conntest.SettlesInOrder(t, func(name string) conn.Broker { return client(t, s, name, 1) })
}

func TestPrefetchBoundsWhatIsInHand(t *testing.T) {
	s := start(t)
	c := client(t, s, "worker", 4)
	publish(t, c, 20, 0, 2)
	got := make(chan conn.Delivery, 100)
	err := c.Subscribe(t.Context(), conn.Subscription{
		Channel: "events", Group: "worker", Prefetch: 3, Handle: func(d conn.Delivery) { got <- d },
	})
	if err != nil {
		t.Fatal(err)
	}
	var hand []conn.Delivery
	for range 3 {
		hand = append(hand, conntest.Receive(t, got))
	}
	for range 37 {
		if n := len(got); n > 0 {
			t.Fatalf("%d in hand, want 3", 3+n)
		}
		d := hand[0]
		hand = hand[1:]
		if err := d.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
		hand = append(hand, conntest.Receive(t, got))
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	s := start(t)
	first := connected(t, s, "first") // the wire's proxy is made when it is first used
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for fault, name := range map[wire.Kind]string{
		"": "no fault", wire.Cut: "a cut", wire.Timeout: "a black hole",
	} {
		t.Run("close/wire has "+name+"/nothing left", func(t *testing.T) {
			before := runtime.NumGoroutine()
			c := kinesis.New(conn.Config{Dialer: s.Dialer(), Client: "worker"})
			if err := c.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			declare(t, c, "events", 3)
			got := conntest.NewTally(nil)
			conntest.Subscribe(t, c, got.Handle)
			publish(t, c, 4, 0, 5)
			got.Wait(t, 20) // again those that were settled when the wire was out of order
			heal := func() {}
			if fault != "" {
				heal = s.Break(t, wire.Fault{Kind: fault, Direction: wire.Both})
			}
			begun := time.Now()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			t.Logf("closed in %v", time.Since(begun).Round(time.Millisecond))
			heal()
			conntest.NoneLeft(t, before)
			_, err := c.Publish(t.Context(), "events", conntest.Letter("a", 0))
			if err == nil || errors.Is(err, conn.ErrUnknown) {
				t.Errorf("a closed client published: %v", err)
			}
		})
	}
}
