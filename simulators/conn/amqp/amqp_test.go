package amqp_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/amqp"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
	"github.com/faultline-sim/faultline/topology/wire"
)

func TestConnectWithWrongCredentialsIsRefused(t *testing.T) {
	need(t)
	cfg := config("stranger")
	cfg.User, cfg.Password = "stranger", func() string { return "wrong" }
	c := amqp.New(cfg)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), conntest.Patience)
	defer cancel()
	refused(t, c.Connect(ctx), "stranger")
}

func TestConnectWaitsForTheBroker(t *testing.T) {
	need(t)
	heal := breakWire(t, wire.Fault{Kind: wire.Cut})
	c := amqp.New(config("early"))
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := c.Connect(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, conn.ErrRefused) {
		t.Errorf("while the wire is cut: %v", err)
	}
	heal()
	if err := c.Connect(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDeclareLeavesWhatExists(t *testing.T) {
	c, other := client(t, "first"), client(t, "second")
	name := channel(t, c, parts(3))
	again := &topology.Channel{Ref: "rabbit/" + name, Parallel: 7, Groups: []string{"worker", "late"}}
	if err := other.Declare(t.Context(), []*topology.Channel{again}); err != nil {
		t.Fatal(err)
	}
	for i := range int64(60) {
		receipt, err := other.Publish(t.Context(), name, letter(fmt.Sprint("device", i), i))
		if err != nil || receipt.Partition > 2 {
			t.Fatalf("part %d of 3, %v", receipt.Partition, err)
		}
	}
	for _, group := range []string{"worker", "late"} {
		if n, err := client(t, "auditor").Depth(t.Context(), name, group); err != nil || n != 60 {
			t.Errorf("group %q has %d of 60, %v", group, n, err)
		}
	}
}

func TestUndeclaredGroupHasItsOwnQueue(t *testing.T) {
	c := client(t, "producer")
	name := channel(t, c, nil)
	publish(t, c, name, letter("a", 0))
	got := make(chan conn.Delivery, 10)
	subscribe(t, client(t, "late"), conn.Subscription{
		Channel: name, Group: "late", Handle: func(d conn.Delivery) { got <- d },
	})
	publish(t, c, name, letter("a", 1))
	if d := conntest.Receive(t, got); d.Message.Number != 1 {
		t.Errorf("got message %d, want the first after the group came", d.Message.Number)
	}
}

// TestDeadLetterTellsWhy wants what the broker knows in the message's headers, and what was there
// before it left alone.
func TestDeadLetterTellsWhy(t *testing.T) {
	c := client(t, "app")
	dead := channel(t, c, func(ch *topology.Channel) { ch.Groups = nil })
	name := channel(t, c, func(ch *topology.Channel) {
		ch.TTL = time.Second
		ch.DeadLetter = &policy.DeadLetter{Attempts: 3, Channel: "rabbit/" + dead, Native: true}
	})
	worker := client(t, "worker")
	subscribe(t, worker, conn.Subscription{Channel: name, Handle: func(d conn.Delivery) {
		switch d.Message.Key {
		case "fails":
			_ = d.Nack(t.Context())
		case "poison":
			_ = d.Reject(t.Context())
		}
	}})
	kept := letter("poison", 1)
	kept.Headers = map[string]string{message.HeaderReason: "schema", "other": "value"}
	publish(t, c, name, letter("fails", 0), kept)
	want := map[string]map[string]string{
		"fails": {
			message.HeaderReason: "delivery_limit", message.HeaderOrigin: "rabbit/" + name,
			message.HeaderAttempts: "3",
		},
		"poison": {
			message.HeaderReason: "schema", message.HeaderOrigin: "rabbit/" + name, "other": "value",
		},
	}
	standsThere(t, c, dead, want)

	t.Run("ttl/nobody takes it/dead-lettered as expired", func(t *testing.T) {
		if err := worker.Close(); err != nil {
			t.Fatal(err)
		}
		publish(t, c, name, letter("late", 2))
		want["late"] = map[string]string{
			message.HeaderReason: "expired", message.HeaderOrigin: "rabbit/" + name,
		}
		standsThere(t, c, dead, want)
	})
}

// standsThere waits until a dead-letter channel has a message of each key with these headers.
func standsThere(t *testing.T, c conn.Broker, dead string, want map[string]map[string]string) {
	t.Helper()
	conntest.Eventually(t, "the dead letters", func() (any, bool) {
		got := map[string]map[string]string{}
		err := c.Audit(t.Context(), dead, func(m *message.Message) error {
			got[m.Key] = m.Headers
			return nil
		})
		return fmt.Sprint(got, err), err == nil && cmp.Equal(want, got)
	})
}

func TestDeadLetterChannelIsMadeAlong(t *testing.T) {
	c := client(t, "app")
	name := channel(t, c, func(ch *topology.Channel) {
		ch.DeadLetter = &policy.DeadLetter{Attempts: 1, Native: true}
	})
	subscribe(t, client(t, "worker"), conn.Subscription{Channel: name, Handle: func(d conn.Delivery) {
		if d.Attempt != 1 {
			t.Errorf("delivery %d of one that may be made once", d.Attempt)
		}
		_ = d.Nack(t.Context())
	}})
	publish(t, c, name, letter("fails", 0))
	standsThere(t, client(t, "auditor"), name+".dead", map[string]map[string]string{"fails": {
		message.HeaderReason: "delivery_limit", message.HeaderOrigin: "rabbit/" + name,
		message.HeaderAttempts: "1",
	}})
}

func TestDeadLetterChannelWithParts(t *testing.T) {
	c := client(t, "app")
	dead := channel(t, c, func(ch *topology.Channel) { ch.Groups, ch.Parallel = nil, 3 })
	name := channel(t, c, func(ch *topology.Channel) {
		ch.Parallel = 2
		ch.DeadLetter = &policy.DeadLetter{Attempts: 2, Channel: "rabbit/" + dead, Native: true}
	})
	subscribe(t, client(t, "worker"), conn.Subscription{Channel: name, Handle: func(d conn.Delivery) {
		_ = d.Nack(t.Context())
	}})
	for i := range int64(10) {
		publish(t, c, name, letter(fmt.Sprint("device", i), i))
	}
	conntest.Eventually(t, "ten dead letters", func() (any, bool) {
		n := 0
		err := c.Audit(t.Context(), dead, func(*message.Message) error { n++; return nil })
		return fmt.Sprint(n, err), err == nil && n == 10
	})
}

func TestExpiresIsTheBrokers(t *testing.T) {
	c := client(t, "app")
	name := channel(t, c, nil)
	soon, later := letter("soon", 0), letter("later", 1)
	soon.Expires, later.Expires = time.Now().Add(20*time.Millisecond), time.Now().AddDate(10, 0, 0)
	publish(t, c, name, soon, later)
	conntest.Eventually(t, "one of two to expire", func() (any, bool) {
		n, err := c.Depth(t.Context(), name, "worker")
		return n, err == nil && n == 1
	})
}

func TestForeignMessages(t *testing.T) {
	c := client(t, "app")
	name := channel(t, c, nil)
	got := make(chan conn.Delivery, 10)
	subscribe(t, c, conn.Subscription{Channel: name, Handle: func(d conn.Delivery) { got <- d }})
	by := bare(t)
	other := content(letter("a", 7))
	for header, value := range other.Headers {
		if attribute, ok := strings.CutPrefix(header, "cloudEvents_"); ok {
			delete(other.Headers, header)
			other.Headers["cloudEvents:"+attribute] = value
		}
	}
	none := content(letter("a", 8))
	none.Headers = nil
	for _, p := range []amqp091.Publishing{other, none} {
		publishBare(t, by, name, p)
	}
	if d := conntest.Receive(t, got); d.Err != nil || d.Message.ID() != "telemetry-7" {
		t.Errorf("with the other prefix: %v, %v", d.Message, d.Err)
	}
	d := conntest.Receive(t, got)
	if d.Err == nil || d.Message != nil || string(d.Raw) != `{"temp": 21.5}` {
		t.Errorf("without attributes: %v, %v, %q", d.Message, d.Err, d.Raw)
	}
}

func TestAuditOfWhatHasOnlyGroupsIsUnsupported(t *testing.T) {
	c := client(t, "app")
	err := c.Audit(t.Context(), channel(t, c, nil), func(*message.Message) error { return nil })
	if !errors.Is(err, conn.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

func TestAuditKeepsTheOrder(t *testing.T) {
	c := client(t, "app")
	name := channel(t, c, func(ch *topology.Channel) { ch.Groups = nil })
	for i := range int64(50) {
		publish(t, c, name, letter("a", i))
	}
	for range 3 {
		var next int64
		err := c.Audit(t.Context(), name, func(m *message.Message) error {
			if m.Number != next {
				t.Errorf("message %d in place %d", m.Number, next)
			}
			next++
			return nil
		})
		if err != nil || next != 50 {
			t.Fatalf("%d of 50, %v", next, err)
		}
	}
	t.Run("audit/reader gives up/all is given back", func(t *testing.T) {
		enough := errors.New("enough")
		err := c.Audit(t.Context(), name, func(*message.Message) error { return enough })
		if !errors.Is(err, enough) {
			t.Errorf("got %v", err)
		}
		conntest.Eventually(t, "50 messages again", func() (any, bool) {
			n, err := c.Depth(t.Context(), name, "")
			return n, err == nil && n == 50
		})
	})
}

func TestCloseLeavesNothing(t *testing.T) {
	need(t)
	first := client(t, "first")
	name := channel(t, first, parts(3))
	before := runtime.NumGoroutine()
	for _, end := range []string{"close", "crash", "cut", "timeout"} {
		c := amqp.New(config("leaver"))
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := make(chan conn.Delivery, 1000)
		subscribe(t, c, conn.Subscription{Channel: name, Handle: func(d conn.Delivery) { got <- d }})
		for i := range int64(20) {
			publish(t, c, name, letter(fmt.Sprint("device", i), i))
		}
		conntest.Receive(t, got) // and never settles it
		heal := func() {}
		switch end {
		case "crash":
			c.Crash()
		case "cut", "timeout":
			heal = breakWire(t, wire.Fault{Kind: wire.Kind(end), Direction: wire.Both})
		}
		begun := time.Now()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("%s: it took %v", end, took)
		}
		heal()
		conntest.Eventually(t, "the broker to take all back", func() (any, bool) {
			n, err := first.Depth(t.Context(), name, "worker")
			return fmt.Sprint(n, err), err == nil && n >= 20
		})
	}
	conntest.NoneLeft(t, before+2) // what the first client asks with
}
