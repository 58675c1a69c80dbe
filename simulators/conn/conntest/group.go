package conntest

import (
	"testing"
	"time"

	"github.com/faultline-sim/faultline/simulators/conn"
)

// Member makes a connected client of a name, whose channel "events" is declared.
type Member func(name string) conn.Broker

// Subscribe has a client take part in the group "worker" of the channel "events".
func Subscribe(t testing.TB, c conn.Broker, handle func(conn.Delivery)) {
	t.Helper()
	err := c.Subscribe(t.Context(), conn.Subscription{
		Channel: "events", Group: "worker", Handle: handle,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// GrowsAndShrinks has a group of one become three and one again while messages are published: none
// is lost, and the keys keep their order.
func GrowsAndShrinks(t *testing.T, member Member) {
	producer, got := member("producer"), NewTally(nil)
	Subscribe(t, member("worker0"), got.Handle)
	Publish(t, producer, "events", 10, 0, 20)
	others := []conn.Broker{member("worker1"), member("worker2")}
	for _, w := range others {
		Subscribe(t, w, got.Handle)
	}
	Publish(t, producer, "events", 10, 20, 40)
	for _, w := range others {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	Publish(t, producer, "events", 10, 40, 60)
	got.Wait(t, 600)
	got.Check(t, 10, 60)
}

// TakesOver has a member crash that holds messages: the other one is given them, in order, and what
// the crashed one held is no longer its own.
func TakesOver(t *testing.T, member Member) {
	producer, got := member("producer"), NewTally(nil)
	crashes, stays := member("worker0"), member("worker1")
	held := make(chan conn.Delivery, 1000)
	Subscribe(t, crashes, func(d conn.Delivery) { held <- d }) // has all, and one part at least
	Subscribe(t, stays, got.Handle)
	Publish(t, producer, "events", 10, 0, 20)
	d := Receive(t, held)
	crashes.(conn.Crasher).Crash()
	begun := time.Now()
	Publish(t, producer, "events", 10, 20, 40)
	got.Wait(t, 400)
	t.Logf("all was delivered %v after the crash", time.Since(begun).Round(time.Millisecond))
	got.Check(t, 10, 40)
	if err := d.Ack(t.Context()); err == nil {
		t.Error("a delivery of the crashed member could be acknowledged")
	}
}

// SettlesInOrder is for brokers whose groups keep one place in each part of a channel, here in the
// only one: a group is past a message when it and all before it are settled.
func SettlesInOrder(t *testing.T, member Member) {
	c := member("worker")
	got := make(chan conn.Delivery, 100)
	Subscribe(t, c, func(d conn.Delivery) { got <- d })
	Publish(t, c, "events", 1, 0, 3)
	first, second, third := Receive(t, got), Receive(t, got), Receive(t, got)
	t.Run("settle/out of order/lowest contiguous", func(t *testing.T) {
		for _, d := range []conn.Delivery{third, second} {
			if err := d.Ack(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := first.Nack(t.Context()); err != nil {
			t.Fatal(err)
		}
		again := Receive(t, got)
		if again.Offset != first.Offset || !again.Redelivered || first.Redelivered {
			t.Errorf("got offset %d, redelivered %v", again.Offset, again.Redelivered)
		}
		if depth, err := c.Depth(t.Context(), "events", "worker"); err != nil || depth != 3 {
			t.Errorf("depth %d before, %v", depth, err)
		}
		if err := again.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("close/all settled/written", func(t *testing.T) {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		depth, err := member("other").Depth(t.Context(), "events", "worker")
		if err != nil || depth != 0 {
			t.Errorf("depth %d, %v", depth, err)
		}
	})
}
