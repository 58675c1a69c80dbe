package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/simulators/cast"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/claims"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/container"
	"github.com/faultline-sim/faultline/topology/engine/process"
	"github.com/faultline-sim/faultline/topology/features"
	"github.com/faultline-sim/faultline/topology/stack"
	"github.com/faultline-sim/faultline/topology/wire"
)

// patience bounds every wait of the suite. What a broker promises within a time is measured apart.
const patience = 20 * time.Second

var toBroker = topology.Wire{From: "app", To: "broker"}

// site is one broker that runs, and what it claims. The tests of all its properties share it: each
// has channels and clients of its own.
type site struct {
	stack    *stack.Stack
	protocol string
	claims   claims.Broker
	clients  atomic.Int64
}

// bed is a site as one property's test sees it.
type bench struct {
	*site
	testing.TB
	name string // of the property: begins the names of its channels
}

// newSite starts a protocol's engine of a sort. Where the machine has no such thing the test is
// skipped; a program that is missing fails it in CI.
func newSite(t *testing.T, protocol string, set features.Set) *site {
	t.Helper()
	node := &topology.Node{Name: "broker", Kind: topology.Broker, Protocol: protocol,
		Engine: string(set), Brokers: 1}
	s, err := stack.Up(t.Context(), stack.Options{
		Topology: &topology.Topology{Nodes: []*topology.Node{
			{Name: "app", Kind: topology.Service, Replicas: 1}, node,
		}},
		Fabric: wire.Options{Wires: []topology.Wire{toBroker}},
	})
	switch {
	case errors.Is(err, process.ErrNoProgram):
		conntest.Missing(t, err)
	case errors.Is(err, container.ErrNoDaemon), errors.Is(err, container.ErrNoImage):
		t.Skipf("not available here: %v", err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c, _ := claims.Of(protocol)
	return &site{stack: s, protocol: protocol, claims: c}
}

func (b *bench) config(client string) conn.Config {
	return conn.Config{
		Dialer: b.stack.Fabric().Dialer(toBroker, 0),
		Client: fmt.Sprintf("%s-%s-%d", b.name, client, b.clients.Add(1)),
	}
}

// client is a connected client, closed when the test ends.
func (b *bench) client(name string) conn.Broker {
	b.Helper()
	c, err := cast.Clients().Broker(b.claims.Protocol, b.config(name))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	if err := c.Connect(ctx); err != nil {
		b.Fatal(err)
	}
	return c
}

// channel declares a channel of the property's own by a client of its own.
func (b *bench) channel(c conn.Broker, alter func(*topology.Channel)) string {
	b.Helper()
	ch := &topology.Channel{
		Ref:    fmt.Sprintf("broker/%s/%d", b.name, b.clients.Add(1)),
		Groups: []string{"workers"}, Parallel: 1,
	}
	if alter != nil {
		alter(ch)
	}
	b.declare(c, ch)
	return topology.ChannelName(ch.Ref)
}

func (b *bench) declare(c conn.Broker, all ...*topology.Channel) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 3*patience)
	defer cancel()
	if err := c.Declare(ctx, all); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) publish(c conn.Broker, channel string, all ...*message.Message) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	for _, m := range all {
		if _, err := c.Publish(ctx, channel, m); err != nil {
			b.Fatal(err)
		}
	}
}

// inbox is what one consumer was given, in order.
type inbox struct {
	bench  *bench
	leave  context.CancelFunc
	settle func(conn.Delivery)

	mu      sync.Mutex
	all     []conn.Delivery
	at      []time.Time
	arrived chan struct{} // closed at the next delivery
}

// subscribe makes a member of a group that settles each delivery as it is told; nil acknowledges.
func (b *bench) subscribe(
	c conn.Broker, channel, group string, settle func(conn.Delivery),
) *inbox {
	b.Helper()
	return b.subscribeTo(c, conn.Subscription{Channel: channel, Group: group}, settle)
}

func (b *bench) subscribeTo(
	c conn.Broker, sub conn.Subscription, settle func(conn.Delivery),
) *inbox {
	b.Helper()
	if settle == nil {
		settle = ack
	}
	in := &inbox{bench: b, settle: settle, arrived: make(chan struct{})}
	ctx, cancel := context.WithCancel(b.Context())
	in.leave = cancel
	b.Cleanup(cancel)
	sub.QoS, sub.Handle = 1, in.take
	subscribed := make(chan error, 1)
	go func() { subscribed <- c.Subscribe(ctx, sub) }()
	select {
	case err := <-subscribed:
		if err != nil {
			b.Fatal(err)
		}
	case <-time.After(patience):
		b.Fatalf("subscribing to %q takes more than %v", sub.Channel, patience)
	}
	return in
}

func ack(d conn.Delivery)  { _ = d.Ack(context.Background()) }
func nack(d conn.Delivery) { _ = d.Nack(context.Background()) }
func keep(conn.Delivery)   {}

func (in *inbox) take(d conn.Delivery) {
	in.mu.Lock()
	in.all = append(in.all, d)
	in.at = append(in.at, time.Now())
	close(in.arrived)
	in.arrived = make(chan struct{})
	in.mu.Unlock()
	in.settle(d)
}

// now is what has arrived.
func (in *inbox) now() []conn.Delivery {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.all)
}

// until waits until what has arrived is enough.
func (in *inbox) until(what string, enough func([]conn.Delivery) bool) []conn.Delivery {
	in.bench.Helper()
	patient := time.After(patience)
	for {
		in.mu.Lock()
		all, arrived := slices.Clone(in.all), in.arrived
		in.mu.Unlock()
		if enough(all) {
			return all
		}
		select {
		case <-arrived:
		case <-patient:
			in.bench.Fatalf("waited %v for %s, there are %v", patience, what, ids(all))
		}
	}
}

func (in *inbox) wait(n int) []conn.Delivery {
	in.bench.Helper()
	return in.until(fmt.Sprintf("%d deliveries", n), func(all []conn.Delivery) bool {
		return len(all) >= n
	})
}

// ids are the messages of deliveries, in order.
func ids(all []conn.Delivery) []string {
	var found []string
	for _, d := range all {
		if d.Message != nil {
			found = append(found, d.Message.ID())
		}
	}
	return found
}

// distinct are the messages of deliveries, sorted, each once.
func distinct(all ...[]conn.Delivery) []string {
	found := ids(slices.Concat(all...))
	slices.Sort(found)
	return slices.Compact(found)
}

// several are n messages from first on, one key each where keys is 0.
func several(first, n, keys int) []*message.Message {
	var all []*message.Message
	for i := first; i < first+n; i++ {
		m := numbered(int64(i))
		if keys > 0 {
			m.Key = fmt.Sprint("key-", i%keys)
		} else {
			m.Key = ""
			m.KeySeq = 0
		}
		all = append(all, m)
	}
	return all
}

func idsOf(all []*message.Message) []string {
	var found []string
	for _, m := range all {
		found = append(found, m.ID())
	}
	slices.Sort(found)
	return found
}

// eventually asks again until an answer is right.
func (b *bench) eventually(what string, right func() (any, bool)) {
	b.Helper()
	conntest.Eventually(b, what, right)
}

// audited are the messages that stand in a channel, with how often each is reported.
func (b *bench) audited(c conn.Broker, channel string) map[string]int {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	found := map[string]int{}
	err := c.Audit(ctx, channel, func(m *message.Message) error {
		found[m.ID()]++
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return found
}

func once(all []*message.Message) map[string]int {
	found := map[string]int{}
	for _, m := range all {
		found[m.ID()] = 1
	}
	return found
}

// inject breaks the way to the broker until the returned function is called.
func (b *bench) inject(kind wire.Kind) (heal func()) {
	b.Helper()
	i, err := b.stack.Fabric().Inject(b.Context(), wire.Fault{
		Name: string(kind), Wire: toBroker, Replica: -1, Kind: kind, Direction: wire.Both,
	})
	if err != nil {
		b.Fatal(err)
	}
	return sync.OnceFunc(func() {
		if err := i.Heal(context.Background()); err != nil {
			b.Error(err)
		}
	})
}

func (b *bench) engine() engine.Engine { return b.stack.Engine("broker") }

// localSets are the sorts of engines that need no Docker.
var localSets = []features.Set{features.Embedded, features.Process}
