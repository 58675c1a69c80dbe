//go:build containers

package container_test

import (
	"context"
	"errors"
	"testing"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/mqtt"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/stack"
)

// guarded is a broker that lets in whoever says "open".
func guarded(t *testing.T) bed {
	t.Helper()
	return up(t, node("mqtt"), func(o *stack.Options) {
		o.Authenticate = func(*topology.Node) func(user, password string) error {
			return func(_, password string) error {
				if password != "open" {
					return errors.New("a stranger")
				}
				return nil
			}
		}
	})
}

// guest is a client with a password.
func (b bed) guest(t *testing.T, password string) *mqtt.Client {
	t.Helper()
	c := mqtt.New(conn.Config{
		Dialer: b.dialer(), Client: "guest", User: "guest", Session: quick,
		Password: func() string { return password },
	})
	t.Cleanup(func() { c.Close() })
	return c
}

func TestABrokerThatAsksForPasswords(t *testing.T) {
	b := guarded(t)
	if n := len(b.addresses()); n != 1 {
		t.Errorf("addresses/want the door's alone, got %d", n)
	}
	guest := b.guest(t, "open")
	publish := func(ctx context.Context) error {
		if err := guest.Connect(ctx); err != nil {
			return err
		}
		return again(ctx, func() error {
			_, err := guest.Publish(ctx, "telemetry/1", numbered(1))
			return err
		})
	}
	b.do(t, publish)

	ctx, cancel := dead(b.ctx)
	defer cancel()
	if err := b.guest(t, "guess").Connect(ctx); err == nil {
		t.Error("login/wrong password/it was let in")
	}
	n, err := b.engine.(engine.Disconnecter).DisconnectAll(b.ctx)
	if err != nil || n == 0 {
		t.Errorf("disconnect/one client/got %d and %v", n, err)
	}
	b.do(t, publish, b.engine.Stop)
	if c, err := b.dialer().Dial(b.ctx); err == nil {
		c.Close()
		t.Error("stopped/the door is open")
	}
	b.do(t, b.engine.Start, publish, b.engine.Kill, b.engine.Start, publish)
}

func TestSessionsOutliveAStopInOrder(t *testing.T) {
	b := guarded(t)
	sub := b.guest(t, "open")
	pub := mqtt.New(conn.Config{Dialer: b.dialer(), Client: "pub", User: "pub", Session: quick,
		Password: func() string { return "open" }})
	t.Cleanup(func() { pub.Close() })
	got := make(chan conn.Delivery, 10)
	b.do(t, sub.Connect, pub.Connect, func(ctx context.Context) error {
		return sub.Subscribe(ctx, conn.Subscription{
			Channel: "telemetry/:id", Handle: func(d conn.Delivery) { got <- d },
		})
	})
	sub.Crash()
	for n := range int64(5) {
		if _, err := pub.Publish(b.ctx, "telemetry/1", numbered(n)); err != nil {
			t.Fatal(err)
		}
	}
	b.do(t, b.engine.Stop, b.engine.Start)
	back := b.guest(t, "open")
	b.do(t, back.Connect, func(ctx context.Context) error {
		return back.Subscribe(ctx, conn.Subscription{
			Channel: "telemetry/:id", Handle: func(d conn.Delivery) { got <- d },
		})
	})
	for want := range int64(5) {
		select {
		case d := <-got:
			if d.Message.Number != want {
				t.Errorf("order/after a stop/want %d, got %d", want, d.Message.Number)
			}
			b.do(t, d.Ack)
		case <-b.ctx.Done():
			t.Fatalf("message %d is lost", want)
		}
	}
}
