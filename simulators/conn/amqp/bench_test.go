package amqp_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"sync"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/amqp"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
)

// bare is a connection of the library alone, over the same wire.
func bare(b testing.TB) *amqp091.Channel {
	b.Helper()
	need(b)
	dialled, err := site.stack.Fabric().Dialer(toBroker, 0).Dial(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	made, err := amqp091.Open(io.ReadWriteCloser(dialled), amqp091.Config{
		SASL:  []amqp091.Authentication{&amqp091.PlainAuth{Username: "guest", Password: "guest"}},
		Vhost: "/", Locale: "en_US",
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { made.Close() })
	ch, err := made.Channel()
	if err != nil {
		b.Fatal(err)
	}
	return ch
}

// content is a message as the client sends it.
func content(m *message.Message) amqp091.Publishing {
	headers := amqp091.Table{}
	for name, value := range m.Attributes {
		headers["cloudEvents_"+name] = value
	}
	return amqp091.Publishing{
		ContentType: message.ContentType, DeliveryMode: amqp091.Persistent,
		MessageId: m.ID(), Headers: headers, Body: m.Data,
	}
}

// BenchmarkPublish compares Publish with a bare loop that publishes the same messages on one AMQP
// channel in confirm mode, by turns in one run, each to a channel of its own. The metrics are
// messages a second of each and the client's share of the bare loop's.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1, 6} {
		b.Run(fmt.Sprint("parts ", n), func(b *testing.B) {
			const round = 1000
			c := client(b, "producer")
			ours, theirs := channel(b, c, parts(n)), channel(b, c, parts(n))
			byHand := publishBareTo(b, theirs, n)
			var client, hand time.Duration
			sent := 0
			for b.Loop() {
				begun := time.Now()
				conntest.EachOf(b, conntest.Publishers, round, func(w, i int) error {
					_, err := c.Publish(b.Context(), ours, letter(fmt.Sprint("device", w), int64(i)))
					return err
				})
				client += time.Since(begun)
				begun = time.Now()
				conntest.EachOf(b, conntest.Publishers, round, byHand)
				hand += time.Since(begun)
				sent += round
			}
			b.ReportMetric(float64(sent)/client.Seconds(), "client/s")
			b.ReportMetric(float64(sent)/hand.Seconds(), "bare/s")
			b.ReportMetric(hand.Seconds()/client.Seconds(), "ratio")
		})
	}
}

// publishBareTo publishes with the library alone.
func publishBareTo(b *testing.B, name string, n int) func(w, i int) error {
	b.Helper()
	ch := bare(b)
	if err := ch.Confirm(false); err != nil {
		b.Fatal(err)
	}
	return func(w, i int) error {
		m := letter(fmt.Sprint("device", w), int64(i))
		d, err := ch.PublishWithDeferredConfirm(
			amqp.ExchangeName(name), part(m.Key, n), true, false, content(m))
		if err != nil || !d.Wait() {
			return fmt.Errorf("not confirmed: %w", err)
		}
		return nil
	}
}

// part is the routing key of a key's part.
func part(key string, n int) string {
	if n == 1 {
		return ""
	}
	h := fnv.New32a()
	h.Write([]byte(key))
	return fmt.Sprint(h.Sum32() % uint32(n))
}

// BenchmarkPublishOne is the time from Publish to its answer with nothing else going on.
func BenchmarkPublishOne(b *testing.B) {
	c := client(b, "producer")
	name := channel(b, c, nil)
	publish(b, c, name, letter("device", 0))
	b.ResetTimer()
	for i := range b.N {
		if _, err := c.Publish(b.Context(), name, letter("device", int64(i))); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConsume compares a group of one that settles each delivery with a bare consumer that
// acknowledges each and reads each envelope.
func BenchmarkConsume(b *testing.B) {
	b.Run("client", func(b *testing.B) {
		c := client(b, "worker")
		name := fill(b, c)
		var got sync.WaitGroup
		got.Add(b.N)
		b.ResetTimer()
		subscribe(b, c, conn.Subscription{Channel: name, Handle: func(d conn.Delivery) {
			if d.Err != nil {
				b.Error(d.Err)
			}
			_ = d.Ack(context.Background())
			got.Done()
		}})
		got.Wait()
	})
	b.Run("bare", func(b *testing.B) {
		name := fill(b, client(b, "producer"))
		ch := bare(b)
		b.ResetTimer()
		if err := ch.Qos(conn.DefaultPrefetch, 0, false); err != nil {
			b.Fatal(err)
		}
		in, err := ch.Consume(amqp.ExchangeName(name)+":worker", "", false, false, false, false, nil)
		if err != nil {
			b.Fatal(err)
		}
		for range b.N {
			d := <-in
			_, err := message.FromAttributes(func(name string) string {
				v, _ := d.Headers["cloudEvents_"+name].(string)
				return v
			}, d.Body)
			if err != nil {
				b.Fatal(err)
			}
			if err := d.Ack(false); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// fill makes a channel with b.N messages.
func fill(b *testing.B, c *amqp.Client) string {
	b.Helper()
	name := channel(b, c, func(*topology.Channel) {})
	conntest.EachOf(b, conntest.Publishers, b.N, func(w, i int) error {
		_, err := c.Publish(b.Context(), name, letter(fmt.Sprint("device", w), int64(i)))
		return err
	})
	return name
}
