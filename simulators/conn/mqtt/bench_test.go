package mqtt_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/faultline-sim/faultline/simulators/conn"
)

// publishers is how many publish at once over one connection, each waiting for its answer.
const publishers = 16

func eachOf(b *testing.B, do func(i int) error) {
	b.Helper()
	var all sync.WaitGroup
	for w := range publishers {
		all.Go(func() {
			for i := w; i < b.N; i += publishers {
				if err := do(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkPublish compares Publish with bare paho that sends the same payload, over the same
// proxy. The ratio of ops is what the client costs.
func BenchmarkPublish(b *testing.B) {
	b.Run("client", func(b *testing.B) {
		s := start(b, nil)
		c := client(b, s, conn.Config{Client: "device"})
		b.ResetTimer()
		eachOf(b, func(i int) error {
			_, err := c.Publish(b.Context(), "telemetry/1", letter("telemetry", int64(i)))
			return err
		})
	})
	b.Run("bare", func(b *testing.B) {
		s := start(b, nil)
		c := bare(b, s.Dialer().Dial, "device")
		b.ResetTimer()
		eachOf(b, func(i int) error {
			payload, err := letter("telemetry", int64(i)).Structured()
			if err != nil {
				return err
			}
			token := c.Publish("telemetry/1", 1, false, payload)
			token.Wait()
			return token.Error()
		})
	})
}

// BenchmarkDeliver compares a subscription that settles each delivery with bare paho that
// acknowledges each message, a publisher of the same kind before both.
func BenchmarkDeliver(b *testing.B) {
	b.Run("client", func(b *testing.B) {
		s := start(b, nil)
		c, rule := client(b, s, conn.Config{Client: "device"}), client(b, s, conn.Config{Client: "rule"})
		var got sync.WaitGroup
		got.Add(b.N)
		err := rule.Subscribe(b.Context(), conn.Subscription{
			Channel: "telemetry/:id",
			Handle: func(d conn.Delivery) {
				_ = d.Ack(b.Context())
				got.Done()
			},
		})
		if err != nil {
			b.Fatal(err)
		}
		b.ResetTimer()
		eachOf(b, func(i int) error {
			_, err := c.Publish(b.Context(), "telemetry/1", letter("telemetry", int64(i)))
			return err
		})
		got.Wait()
	})
	b.Run("bare", func(b *testing.B) {
		s := start(b, nil)
		c := client(b, s, conn.Config{Client: "device"})
		var got sync.WaitGroup
		got.Add(b.N)
		rule := bare(b, s.Dialer().Dial, "rule")
		token := rule.Subscribe("telemetry/+", 1, func(_ paho.Client, m paho.Message) {
			got.Done()
		})
		if token.Wait(); token.Error() != nil {
			b.Fatal(token.Error())
		}
		b.ResetTimer()
		eachOf(b, func(i int) error {
			_, err := c.Publish(b.Context(), "telemetry/1", letter("telemetry", int64(i)))
			return err
		})
		got.Wait()
	})
}

// BenchmarkConnect is what one more device costs: connect, subscribe, and go.
func BenchmarkConnect(b *testing.B) {
	s := start(b, nil)
	b.ReportAllocs()
	for i := range b.N {
		c := client(b, s, conn.Config{Client: fmt.Sprint("device", i)})
		sub := conn.Subscription{Channel: fmt.Sprint("command/", i), Handle: func(conn.Delivery) {}}
		if err := c.Subscribe(b.Context(), sub); err != nil {
			b.Fatal(err)
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// bare is a connected paho client as paho's users have it.
func bare(b *testing.B, dial func(ctx context.Context) (net.Conn, error), id string) paho.Client {
	b.Helper()
	o := paho.NewClientOptions().AddBroker("tcp://wire").SetClientID(id).SetProtocolVersion(4).
		SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) {
			return dial(b.Context())
		})
	c := paho.NewClient(o)
	if token := c.Connect(); token.Wait() && token.Error() != nil {
		b.Fatal(token.Error())
	}
	b.Cleanup(func() { c.Disconnect(100) })
	return c
}
