// Package virtual has the benchmarks of virtual time: how much faster than real time each client is
// with the engine that it has in this process, and a whole flow of the iot-platform.
//
// It stands outside load → plan → run → check → report; scenarios/bench runs it and holds what it
// reports against what is promised. A pair of which a message is missing fails. Real time is what a run takes on one processor of this machine, so a busy one lowers it;
// the processor time a message is steadier.
package virtual

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/scenarios/runner/bubble"
	"github.com/faultline-sim/faultline/simulators/cast"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/stack"
	"github.com/faultline-sim/faultline/topology/wire"
)

const (
	virtualTime = 10 * time.Minute
	perSecond   = 50
	messages    = int64(virtualTime / time.Second * perSecond)
	keys        = 10
	getEach     = 10 // messages put, there is a read
	seed        = 1
	patience    = 10 * time.Second // for the last ones to arrive, virtual
)

// pair is a client with the engine that it has here, and what is done with them.
type pair struct {
	protocol string
	do       func(context.Context, *bed) error
}

var pairs = []pair{
	{"kafka", publishAndConsume},
	{"mqtt", publishAndConsume},
	{"postgres", putAndGet},
	{"redis", putAndGet},
	{"pubsub", publishAndConsume},
	{"s3", putAndGet},
	{"nats", publishAndConsume},
}

// BenchmarkPair is how many times faster than real time a client and its engine are, without a
// fault, at 50 messages a second, and the processor time that one of them takes.
func BenchmarkPair(b *testing.B) {
	for _, p := range pairs {
		b.Run(p.protocol, func(b *testing.B) {
			for b.Loop() {
				measured(b, messages, virtualTime, func() error {
					return p.run(b.Context(), b.TempDir(), messages)
				})
			}
		})
	}
}

// TestPair keeps the benchmark's pairs working.
func TestPair(t *testing.T) {
	for _, p := range pairs {
		t.Run(p.protocol, func(t *testing.T) {
			if err := p.run(t.Context(), t.TempDir(), 3*getEach); err != nil {
				t.Error(err)
			}
		})
	}
}

// run does in virtual time what is to be done with so many messages.
func (p pair) run(ctx context.Context, dir string, messages int64) error {
	return bubble.Run(ctx, seed, func(ctx context.Context) (err error) {
		b, err := p.up(ctx, dir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.stack.Close()) }()
		b.messages = messages
		return p.do(ctx, b)
	})
}

// measured reports what it takes to do something that lasts for so long by its own clock.
func measured(b *testing.B, messages int64, lasts time.Duration, do func() error) {
	runtime.GC() // what is left of others is not paid for here
	begin, used := time.Now(), processTime()
	if err := do(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(lasts.Seconds()/time.Since(begin).Seconds(), "x-real-time")
	b.ReportMetric((processTime()-used).Seconds()*1e3/float64(messages), "cpu-ms/message")
}

// processTime is the processor time that the process has used.
func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bed is one engine, and what is between it and its clients, for so many messages.
type bed struct {
	stack    *stack.Stack
	protocol string
	messages int64
}

var events = &topology.Channel{
	Ref: "target/events", Key: "device", Parallel: 6, Groups: []string{"workers"},
}

// up brings the pair's engine up.
func (p pair) up(ctx context.Context, dir string) (*bed, error) {
	kind := topology.Broker
	if slices.Contains([]string{"postgres", "redis", "s3"}, p.protocol) {
		kind = topology.Store
	}
	s, err := stack.Up(ctx, stack.Options{
		Topology: &topology.Topology{
			Nodes: []*topology.Node{
				{Name: "publisher", Kind: topology.Service, Replicas: 1},
				{Name: "consumer", Kind: topology.Service, Replicas: 1},
				{Name: "target", Kind: kind, Protocol: p.protocol, Brokers: 1},
			},
			Channels: []*topology.Channel{events},
		},
		Fabric:  wire.Options{Transport: wire.Virtual, Marker: "00-fa01020304050607"},
		Dir:     dir,
		Engines: "embedded",
	})
	return &bed{stack: s, protocol: p.protocol}, err
}

// config is that of the client of a node, over its wire.
func (b *bed) config(node string) conn.Config {
	return conn.Config{
		Dialer: b.stack.Fabric().Dialer(topology.Wire{From: node, To: "target"}, 0),
		Client: node + "-0",
		Rand:   rand.New(rand.NewPCG(1, 2)),
	}
}

// broker is a connected client.
func (b *bed) broker(ctx context.Context, node string) (conn.Broker, error) {
	c, err := cast.Clients().Broker(b.protocol, b.config(node))
	if err != nil {
		return nil, err
	}
	if err := c.Connect(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// publishAndConsume publishes at an even pace by one client and acknowledges by another.
func publishAndConsume(ctx context.Context, b *bed) (err error) {
	publisher, err := b.broker(ctx, "publisher")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, publisher.Close()) }()
	consumer, err := b.broker(ctx, "consumer")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, consumer.Close()) }()
	if err := publisher.Declare(ctx, []*topology.Channel{events}); err != nil {
		return err
	}
	var seen atomic.Int64
	all := make(chan struct{})
	err = consumer.Subscribe(ctx, conn.Subscription{
		Channel: "events", Group: "workers", QoS: 1,
		Handle: func(d conn.Delivery) {
			if d.Ack(ctx) == nil && seen.Add(1) == b.messages {
				close(all)
			}
		},
	})
	if err != nil {
		return err
	}
	err = b.paced(ctx, func(ctx context.Context, i int64) error {
		_, err := publisher.Publish(ctx, "events", letter(i))
		return err
	})
	if err != nil {
		return err
	}
	select {
	case <-all:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("of %d messages %d arrived", b.messages, seen.Load())
	}
}

// putAndGet puts messages at an even pace, and reads some of them.
func putAndGet(ctx context.Context, b *bed) (err error) {
	store, err := cast.Clients().Store(b.protocol, b.config("publisher"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := store.Connect(ctx); err != nil {
		return err
	}
	if err := store.Declare(ctx, []string{"records"}); err != nil {
		return err
	}
	return b.paced(ctx, func(ctx context.Context, i int64) error {
		m := letter(i)
		err := store.Put(ctx, "records", []*message.Message{m})
		if err == nil && i%getEach == 0 {
			_, err = store.Get(ctx, "records", m.ID())
		}
		return err
	})
}

// paced does something with each message at its time, one after the other.
func (b *bed) paced(ctx context.Context, do func(context.Context, int64) error) error {
	begin := time.Now()
	for i := range b.messages {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / perSecond)))
		if err := do(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// letter is a message as a device sends it.
func letter(i int64) *message.Message {
	device := fmt.Sprint("device-", i%keys)
	m := &message.Message{
		Flow: "telemetry", Number: i, Source: "device.hw/" + device, Subject: device,
		Time: time.Now(), Key: device, KeySeq: i / keys, ParentNumber: -1,
		Data: fmt.Appendf(nil, `{"device":%q,"seq":%d,"temp":68.25,"at":%d}`, device, i/keys, i),
	}
	copy(m.Trace[:], []byte{0xfa, 1, 2, 3, 4, 5, 6, 7})
	return m
}
