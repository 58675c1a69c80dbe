package amqp_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/amqp"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
)

// refused wants an error that wraps ErrRefused and names what is at fault.
func refused(t *testing.T, err error, names ...string) {
	t.Helper()
	if !errors.Is(err, conn.ErrRefused) {
		t.Errorf("got %v, want an error that wraps ErrRefused", err)
		return
	}
	for _, name := range append(names, toBroker.String()) {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not name %q", err, name)
		}
	}
}

func TestPublishIsRefused(t *testing.T) {
	c := client(t, "producer")
	there := channel(t, c, nil)
	by := bare(t)

	t.Run("channel/never declared/named, others go on", func(t *testing.T) {
		_, err := c.Publish(t.Context(), "nobody/declared", letter("a", 0))
		refused(t, err, "nobody/declared")
		publish(t, c, there, letter("a", 1))
	})
	t.Run("exchange/deleted meanwhile/named, others go on", func(t *testing.T) {
		gone := channel(t, c, nil)
		publish(t, c, gone, letter("a", 0))
		if err := by.ExchangeDelete(amqp.ExchangeName(gone), false, false); err != nil {
			t.Fatal(err)
		}
		_, err := c.Publish(t.Context(), gone, letter("a", 1))
		refused(t, err, gone)
		_, err = c.Publish(t.Context(), gone, letter("a", 2))
		refused(t, err, gone)
		publish(t, c, there, letter("a", 3))
	})
	t.Run("queue/deleted meanwhile/exchange named", func(t *testing.T) {
		lonely := channel(t, c, nil)
		deleteQueue(t, by, amqp.QueueName(lonely, "worker", -1))
		_, err := c.Publish(t.Context(), lonely, letter("a", 0))
		refused(t, err, lonely, "no queue")
	})
	t.Run("attributes/too large for a frame/named, others go on", func(t *testing.T) {
		m := letter("a", 0)
		m.Headers = map[string]string{"x": strings.Repeat("x", 200_000)}
		_, err := c.Publish(t.Context(), there, m)
		refused(t, err, there)
		publish(t, c, there, letter("a", 1))
	})
	t.Run("name/too long/named", func(t *testing.T) {
		long := strings.Repeat("channel", 40)
		refused(t, c.Declare(t.Context(), []*topology.Channel{{Ref: "rabbit/" + long}}), long)
	})
}

func TestPublishIntoOneDeletedExchangeIsToldOneByOne(t *testing.T) {
	c := client(t, "producer")
	name := channel(t, c, nil)
	publish(t, c, name, letter("a", 0))
	if err := bare(t).ExchangeDelete(amqp.ExchangeName(name), false, false); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			_, err := c.Publish(t.Context(), name, letter("a", int64(i)))
			if !errors.Is(err, conn.ErrRefused) && !errors.Is(err, conn.ErrUnknown) {
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
}

// TestPublishReturnsToWhoIsMeant publishes to a channel whose queue is deleted meanwhile: what was
// answered with success and not consumed before the end must be in nobody's way, what was refused
// is in no queue.
func TestPublishReturnsToWhoIsMeant(t *testing.T) {
	c := client(t, "producer")
	name := channel(t, c, parts(2))
	deleteQueue(t, bare(t), amqp.QueueName(name, "worker", 1))
	var all sync.WaitGroup
	var mu sync.Mutex
	taken := map[int64]bool{}
	for i := range int64(200) {
		all.Go(func() {
			receipt, err := c.Publish(t.Context(), name, letter(string(rune('a'+i%20)), i))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				taken[i] = true
				if receipt.Partition != 0 {
					t.Errorf("message %d went to part %d, which has no queue", i, receipt.Partition)
				}
			case !errors.Is(err, conn.ErrRefused):
				t.Error(err)
			}
		})
	}
	all.Wait()
	by := bare(t)
	for range len(taken) {
		d, ok, err := by.Get(amqp.QueueName(name, "worker", 0), true)
		if err != nil || !ok {
			t.Fatalf("%v, %v: %d messages were taken", ok, err, len(taken))
		}
		if m, err := envelope(d); err != nil || !taken[m.Number] {
			t.Errorf("message %v stands in the queue and was refused, %v", m, err)
		}
	}
	if len(taken) == 0 || len(taken) == 200 {
		t.Errorf("%d of 200 went to the part that has a queue", len(taken))
	}
}

func envelope(d amqp091.Delivery) (*message.Message, error) {
	return message.FromAttributes(func(name string) string {
		v, _ := d.Headers["cloudEvents_"+name].(string)
		return v
	}, d.Body)
}

func TestPublishWaitsWhileTheBrokerTakesNothing(t *testing.T) {
	c := client(t, "producer")
	name := channel(t, c, nil)
	if err := c.Block(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := c.Publish(ctx, name, letter("a", 0))
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, conn.ErrUnknown) {
		t.Errorf("blocked: %v, want the deadline's, and certainly nothing written", err)
	}
	answer := make(chan error, 1)
	go func() {
		_, err := c.Publish(t.Context(), name, letter("a", 1))
		answer <- err
	}()
	if err := c.Block(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err != nil {
		t.Error(err)
	}
	conntest.Eventually(t, "one message", func() (any, bool) {
		n, err := c.Depth(t.Context(), name, "worker")
		return n, err == nil && n == 1
	})
}

func TestPublishIntoABlackHole(t *testing.T) {
	c := client(t, "producer")
	name := channel(t, c, nil)
	publish(t, c, name, letter("a", 0))
	heal := breakWire(t, wire.Fault{Kind: wire.Timeout, Direction: wire.Both})
	var all sync.WaitGroup
	for i := range int64(8) { // more than fits into what lies between
		all.Go(func() {
			m := letter("a", i)
			m.Data = make([]byte, 2<<20)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err := c.Publish(ctx, name, m)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the deadline's", err)
			}
		})
	}
	all.Wait()
	heal()
	publish(t, c, name, letter("a", 9))
}

func TestOrderOfOneCaller(t *testing.T) {
	c, worker := client(t, "producer"), client(t, "worker")
	name := channel(t, c, parts(3))
	got := make(chan conn.Delivery, 300)
	subscribe(t, worker, conn.Subscription{
		Channel: name, Prefetch: 300, Handle: func(d conn.Delivery) { got <- d },
	})
	publish(t, c, name, letter("b", 0))
	if err := c.Block(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range int64(100) { // each begins when the one before it has its place
		all.Go(func() {
			if _, err := c.Publish(t.Context(), name, letter("a", i)); err != nil {
				t.Error(err)
			}
		})
		conntest.Eventually(t, "a place", func() (any, bool) {
			n := c.Waiting(name)
			return n, n == int(i)+1
		})
	}
	if err := c.Block(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	for i := int64(0); i < 100; {
		d := conntest.Receive(t, got)
		if d.Message.Key != "a" {
			continue
		}
		if d.Message.Number != i {
			t.Fatalf("message %d comes in place %d", d.Message.Number, i)
		}
		i++
	}
}

func publishBare(
	t *testing.T, by *amqp091.Channel, channel string, p amqp091.Publishing,
) {
	t.Helper()
	err := by.PublishWithContext(t.Context(), amqp.ExchangeName(channel), "", false, false,
		p)
	if err != nil {
		t.Fatal(err)
	}
}

func deleteQueue(t *testing.T, by *amqp091.Channel, queue string) {
	t.Helper()
	if _, err := by.QueueDelete(queue, false, false, false); err != nil {
		t.Fatal(err)
	}
}
