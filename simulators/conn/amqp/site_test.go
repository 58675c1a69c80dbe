package amqp_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/amqp"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/process"
	"github.com/faultline-sim/faultline/topology/stack"
	"github.com/faultline-sim/faultline/topology/wire"
)

var toBroker = topology.Wire{From: "app", To: "rabbit"}

// site is the one broker of all tests, whose channels and clients are each test's own.
var site struct {
	stack *stack.Stack
	err   error
	names atomic.Int64
}

func TestMain(m *testing.M) {
	site.stack, site.err = stack.Up(context.Background(), stack.Options{
		Topology: &topology.Topology{Nodes: []*topology.Node{
			{Name: "app", Kind: topology.Service, Replicas: 1},
			{Name: "rabbit", Kind: topology.Broker, Protocol: "amqp", Brokers: 1},
		}},
		Fabric:    wire.Options{Wires: []topology.Wire{toBroker}},
		NewEngine: func(cfg engine.Config) (engine.Engine, error) { return process.New(cfg) },
	})
	code := m.Run()
	if site.err == nil {
		if err := site.stack.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// need ends the test where the machine has no RabbitMQ.
func need(t testing.TB) {
	t.Helper()
	if errors.Is(site.err, process.ErrNoProgram) {
		conntest.Missing(t, site.err)
	}
	if site.err != nil {
		t.Fatal(site.err)
	}
}

func config(name string) conn.Config {
	return conn.Config{
		Dialer: site.stack.Fabric().Dialer(toBroker, 0),
		Client: fmt.Sprint(name, "-", site.names.Add(1)),
	}
}

// client is connected, and closed when the test ends.
func client(t testing.TB, name string) *amqp.Client {
	t.Helper()
	need(t)
	c := amqp.New(config(name))
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), conntest.Patience)
	defer cancel()
	if err := c.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

// channel declares a channel of the test's own.
func channel(t testing.TB, c *amqp.Client, alter func(*topology.Channel)) string {
	t.Helper()
	ch := &topology.Channel{
		Ref: fmt.Sprint("rabbit/", t.Name(), "/", site.names.Add(1)), Groups: []string{"worker"},
	}
	if alter != nil {
		alter(ch)
	}
	if err := c.Declare(t.Context(), []*topology.Channel{ch}); err != nil {
		t.Fatal(err)
	}
	return topology.ChannelName(ch.Ref)
}

// parts gives a channel parallel parts, by key.
func parts(n int) func(*topology.Channel) {
	return func(ch *topology.Channel) { ch.Parallel, ch.Key = n, "device" }
}

func letter(key string, seq int64) *message.Message {
	return &message.Message{
		Flow: "telemetry", Number: seq, Source: "test", Key: key, KeySeq: seq,
		ParentNumber: -1, Data: []byte(`{"temp": 21.5}`),
	}
}

func publish(t testing.TB, c conn.Broker, channel string, all ...*message.Message) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), conntest.Patience)
	defer cancel()
	for _, m := range all {
		if _, err := c.Publish(ctx, channel, m); err != nil {
			t.Fatal(err)
		}
	}
}

func subscribe(t testing.TB, c conn.Broker, sub conn.Subscription) {
	t.Helper()
	if sub.Group == "" {
		sub.Group = "worker"
	}
	if err := c.Subscribe(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
}

// breakWire injects a fault until the returned function is called.
func breakWire(t testing.TB, f wire.Fault) (heal func()) {
	t.Helper()
	f.Name, f.Wire, f.Replica = string(f.Kind), toBroker, -1
	injection, err := site.stack.Fabric().Inject(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := injection.Heal(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
}
