package pubsub_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	library "cloud.google.com/go/pubsub/v2"
	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/conn/pubsub"
	"github.com/faultline-sim/faultline/simulators/message"
)

// bare is a connection over the same wire, without a client of ours.
func bare(b *testing.B, s *conntest.Site) *grpc.ClientConn {
	b.Helper()
	dialer := s.Dialer()
	c, err := grpc.NewClient("passthrough:///bus",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return dialer.Dial(ctx)
		}))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c
}

func attributes(m *message.Message) map[string]string {
	all := map[string]string{}
	for name, value := range m.Attributes {
		all["ce-"+name] = value
	}
	return all
}

// BenchmarkPublish compares Publish with Google's own publisher, which batches too, and with a bare
// loop of one message a request over the generated stub: the same messages over the same wire, one
// key a publisher. The ratio of ops is what the client costs.
func BenchmarkPublish(b *testing.B) {
	b.Run("client", func(b *testing.B) {
		c := client(b, start(b), "producer")
		b.ResetTimer()
		conntest.EachOf(b, conntest.Publishers, b.N, func(w, i int) error {
			_, err := c.Publish(b.Context(), "events", conntest.Letter(fmt.Sprint("device", w), int64(i)))
			return err
		})
	})
	b.Run("library", func(b *testing.B) {
		s := start(b)
		client(b, s, "declarer")
		c, err := library.NewClient(b.Context(), "faultline", option.WithGRPCConn(bare(b, s)))
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		p := c.Publisher(pubsub.TopicID("events"))
		defer p.Stop()
		p.EnableMessageOrdering = true
		p.PublishSettings.DelayThreshold = time.Millisecond
		b.ResetTimer()
		conntest.EachOf(b, conntest.Publishers, b.N, func(w, i int) error {
			m := conntest.Letter(fmt.Sprint("device", w), int64(i))
			_, err := p.Publish(b.Context(), &library.Message{
				Data: m.Data, OrderingKey: m.Key, Attributes: attributes(m),
			}).Get(b.Context())
			return err
		})
	})
	b.Run("stub", func(b *testing.B) {
		s := start(b)
		client(b, s, "declarer")
		p := pb.NewPublisherClient(bare(b, s))
		b.ResetTimer()
		conntest.EachOf(b, conntest.Publishers, b.N, func(w, i int) error {
			m := conntest.Letter(fmt.Sprint("device", w), int64(i))
			_, err := p.Publish(b.Context(), &pb.PublishRequest{
				Topic: "projects/faultline/topics/events", Messages: []*pb.PubsubMessage{{
					Data: m.Data, OrderingKey: m.Key, Attributes: attributes(m),
				}},
			})
			return err
		})
	})
}

// BenchmarkPublishOne is the time from Publish to its answer with nothing else going on.
func BenchmarkPublishOne(b *testing.B) {
	c := client(b, start(b), "producer")
	for i := range b.N {
		if _, err := c.Publish(b.Context(), "events", conntest.Letter("device", int64(i))); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConsume compares a consumer of the client's with one of Google's library. Both settle
// each message; keys is how many there are, 0 for a channel without order. Time runs from the first
// message in hand to the last.
func BenchmarkConsume(b *testing.B) {
	for name, channel := range map[string]string{"ordered": "events", "unordered": "jobs"} {
		b.Run(name+"/client", func(b *testing.B) {
			s := start(b)
			c := client(b, s, "worker")
			fill(b, c, channel, b.N+1)
			var got sync.WaitGroup
			got.Add(b.N + 1)
			first := sync.OnceFunc(b.ResetTimer)
			subscribe(b, c, channel, "workers", func(d conn.Delivery) {
				first()
				_ = d.Ack(context.Background())
				got.Done()
			})
			got.Wait()
		})
		b.Run(name+"/library", func(b *testing.B) {
			s := start(b)
			fill(b, client(b, s, "producer"), channel, b.N+1)
			c, err := library.NewClient(b.Context(), "faultline", option.WithGRPCConn(bare(b, s)))
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			sub := c.Subscriber(pubsub.SubscriptionID(channel, "workers"))
			sub.ReceiveSettings.MaxOutstandingMessages = conn.DefaultPrefetch
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			var mu sync.Mutex
			got := 0
			first := sync.OnceFunc(b.ResetTimer)
			err = sub.Receive(ctx, func(_ context.Context, m *library.Message) {
				first()
				m.Ack()
				mu.Lock()
				defer mu.Unlock()
				if got++; got == b.N+1 {
					b.StopTimer()
					cancel()
				}
			})
			if err != nil {
				b.Error(err)
			}
		})
	}
}

func fill(b *testing.B, c conn.Broker, channel string, n int) {
	b.Helper()
	conntest.EachOf(b, conntest.Publishers, n, func(w, i int) error {
		_, err := c.Publish(b.Context(), channel, conntest.Letter(fmt.Sprint("device", w), int64(i)))
		return err
	})
}
