package nats_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/message"
)

// bare writes the same message by the library alone.
func bare(m *message.Message) *natsgo.Msg {
	msg := &natsgo.Msg{Subject: "events.0", Header: natsgo.Header{}, Data: m.Data}
	for name, value := range m.Attributes {
		msg.Header["ce-"+name] = []string{value}
	}
	return msg
}

// BenchmarkPublish compares Publish with a bare loop over the library that carries the same headers,
// over the same proxy. The ratio of ops is what the client costs.
func BenchmarkPublish(b *testing.B) {
	b.Run("client", func(b *testing.B) {
		c := client(b, start(b, nil), "producer")
		b.ResetTimer()
		conntest.EachOf(b, conntest.Publishers, b.N, func(w, i int) error {
			_, err := c.Publish(b.Context(), "events", letter(fmt.Sprint("device", w), int64(i)))
			return err
		})
	})
	b.Run("bare", func(b *testing.B) {
		s := start(b, nil)
		client(b, s, "declarer")
		js, err := jetstream.New(byHand(b, s))
		if err != nil {
			b.Fatal(err)
		}
		b.ResetTimer()
		conntest.EachOf(b, conntest.Publishers, b.N, func(w, i int) error {
			_, err := js.PublishMsg(b.Context(), bare(letter(fmt.Sprint("device", w), int64(i))))
			return err
		})
	})
}

// BenchmarkConsume compares a consumer that acknowledges each delivery with a bare loop that fetches
// and acknowledges. Time runs from the first message in hand.
func BenchmarkConsume(b *testing.B) {
	fill := func(b *testing.B, c conn.Broker) {
		conntest.EachOf(b, conntest.Publishers, b.N+1, func(w, i int) error {
			_, err := c.Publish(b.Context(), "events", letter(fmt.Sprint("device", w), int64(i)))
			return err
		})
	}
	b.Run("client", func(b *testing.B) {
		c := client(b, start(b, nil), "worker")
		fill(b, c)
		var got sync.WaitGroup
		got.Add(b.N + 1)
		first := sync.OnceFunc(b.ResetTimer)
		err := c.Subscribe(b.Context(), conn.Subscription{
			Channel: "events", Group: "workers", Handle: func(d conn.Delivery) {
				first()
				_ = d.Ack(context.Background())
				got.Done()
			},
		})
		if err != nil {
			b.Fatal(err)
		}
		got.Wait()
	})
	b.Run("bare", func(b *testing.B) {
		s := start(b, nil)
		fill(b, client(b, s, "producer"))
		js, err := jetstream.New(byHand(b, s))
		if err != nil {
			b.Fatal(err)
		}
		consumer, err := js.Consumer(b.Context(), "events", "workers_0")
		if err != nil {
			b.Fatal(err)
		}
		for n := 0; n < b.N+1; {
			batch, err := consumer.Fetch(min(conn.DefaultPrefetch, b.N+1-n))
			if err != nil {
				b.Fatal(err)
			}
			for msg := range batch.Messages() {
				if n == 0 {
					b.ResetTimer()
				}
				if len(msg.Headers()) == 0 {
					b.Fatal("a message has no headers")
				}
				if err := msg.Ack(); err != nil {
					b.Fatal(err)
				}
				n++
			}
		}
	})
}
