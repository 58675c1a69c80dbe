package kafka_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/message"
)

// BenchmarkPublish compares Publish with a bare kafka-go Writer that carries the same records, over
// the same proxies. The ratio of ops is what the client costs.
func BenchmarkPublish(b *testing.B) {
	b.Run("client", func(b *testing.B) {
		s := start(b, 1)
		c := client(b, s, "producer", 6)
		b.ResetTimer()
		conntest.EachOf(b, conntest.Publishers, b.N, func(w, i int) error {
			_, err := c.Publish(b.Context(), "events", conntest.Letter(fmt.Sprint("device", w), int64(i)))
			return err
		})
	})
	b.Run("bare", func(b *testing.B) {
		s := start(b, 1)
		client(b, s, "declarer", 6)
		dialer := s.Dialer()
		w := &kafkago.Writer{
			Addr: kafkago.TCP(dialer.Endpoints()...), Topic: "events",
			Balancer: kafkago.Murmur2Balancer{}, RequiredAcks: kafkago.RequireAll,
			BatchTimeout: time.Millisecond, BatchSize: conntest.Publishers / 6,
			Transport: &kafkago.Transport{
				Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
					return dialer.DialAddr(ctx, network, addr)
				},
			},
		}
		defer w.Close()
		b.ResetTimer()
		conntest.EachOf(b, conntest.Publishers, b.N, func(n, i int) error {
			m := conntest.Letter(fmt.Sprint("device", n), int64(i))
			r := kafkago.Message{Key: []byte(m.Key), Value: m.Data}
			for name, value := range m.Attributes {
				r.Headers = append(r.Headers, kafkago.Header{Key: "ce_" + name, Value: []byte(value)})
			}
			return w.WriteMessages(b.Context(), r)
		})
	})
}

// BenchmarkPublishOne is the time from Publish to its answer with nothing else going on.
func BenchmarkPublishOne(b *testing.B) {
	s := start(b, 1)
	c := client(b, s, "producer", 1)
	publish(b, c, 1, 0, 10)
	b.ResetTimer()
	for i := range b.N {
		if _, err := c.Publish(b.Context(), "events", conntest.Letter("device", int64(i))); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConsume compares a group of one that settles each delivery with a bare kafka-go Reader
// that reads each envelope and commits nothing. Time runs from the first record in hand.
func BenchmarkConsume(b *testing.B) {
	b.Run("client", func(b *testing.B) {
		s := start(b, 1)
		c := client(b, s, "worker", 1)
		fill(b, c, b.N+1)
		var got sync.WaitGroup
		got.Add(b.N + 1)
		first := sync.OnceFunc(b.ResetTimer)
		conntest.Subscribe(b, c, func(d conn.Delivery) {
			first()
			_ = d.Ack(context.Background())
			got.Done()
		})
		got.Wait()
	})
	b.Run("bare", func(b *testing.B) {
		s := start(b, 1)
		fill(b, client(b, s, "producer", 1), b.N+1)
		dialer := s.Dialer()
		r := kafkago.NewReader(kafkago.ReaderConfig{
			Brokers: dialer.Endpoints(), Topic: "events", MaxBytes: 1 << 20, MaxWait: time.Second,
			Dialer: &kafkago.Dialer{DialFunc: dialer.DialAddr},
		})
		for i := range b.N + 1 {
			m, err := r.FetchMessage(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			if i == 0 {
				b.ResetTimer()
			}
			if _, err := envelope(m); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		r.Close()
	})
}

func envelope(m kafkago.Message) (*message.Message, error) {
	return message.FromAttributes(func(name string) string {
		for _, h := range m.Headers {
			if h.Key == name || h.Key == "ce_"+name {
				return string(h.Value)
			}
		}
		return ""
	}, m.Value)
}

func fill(b *testing.B, c conn.Broker, n int) {
	b.Helper()
	conntest.EachOf(b, conntest.Publishers, n, func(w, i int) error {
		_, err := c.Publish(b.Context(), "events", conntest.Letter(fmt.Sprint("device", w), int64(i)))
		return err
	})
}
