package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/cast"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/claims"
	"github.com/faultline-sim/faultline/topology/wire"
)

// auditors are the run's own clients of brokers and stores, over wires that no fault can touch.
type auditors struct {
	env     *simulators.Env
	clients simulators.Clients
	mu      sync.Mutex
	brokers map[string]conn.Broker
	stores  map[string]conn.Store
}

// consumed is a channel, and a group that takes from it.
type consumed struct {
	node, ref, channel, group string
	broker                    conn.Broker
}

// connectWithin bounds one audit client's connect: nothing stands between it and its engine.
const connectWithin = 10 * time.Second

func newAuditors(env *simulators.Env) *auditors {
	return &auditors{
		env: env, clients: cast.Clients(),
		brokers: map[string]conn.Broker{}, stores: map[string]conn.Store{},
	}
}

func (a *auditors) config(n *topology.Node) conn.Config {
	c := conn.Config{
		Dialer: a.env.Fabric.Dialer(topology.Wire{From: wire.AuditFrom, To: n.Name}, 0),
		Client: "faultline-audit",
	}
	// Only then may a table be of somebody else's making, which takes another look at it.
	if recalled, _ := a.env.Correlates(); recalled {
		c.Recall = a.env.Recall
	}
	return c
}

// readable says that a broker keeps messages that can be read from outside. MQTT hands messages on
// and keeps nothing that a client may read.
func readable(n *topology.Node) bool {
	c, ok := claims.Of(n.Protocol)
	return ok && n.Kind == topology.Broker && c.Readable
}

// counted says that a client may ask a broker how many messages a group has not yet been done with.
func counted(n *topology.Node) bool {
	c, ok := claims.Of(n.Protocol)
	return ok && n.Kind == topology.Broker && c.Counted
}

func (a *auditors) broker(n *topology.Node) (conn.Broker, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b, ok := a.brokers[n.Name]; ok {
		return b, nil
	}
	b, err := a.clients.Broker(n.Protocol, a.config(n))
	if err != nil {
		return nil, fmt.Errorf("make audit client of %q: %w", n.Name, err)
	}
	a.brokers[n.Name] = b
	return b, nil
}

func (a *auditors) store(n *topology.Node) (conn.Store, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s, ok := a.stores[n.Name]; ok {
		return s, nil
	}
	s, err := a.clients.Store(n.Protocol, a.config(n))
	if err != nil {
		return nil, fmt.Errorf("make audit client of %q: %w", n.Name, err)
	}
	a.stores[n.Name] = s
	return s, nil
}

// consumed are all channels whose depth can be read, with the groups that take from them.
func (a *auditors) consumed(ctx context.Context, t *topology.Topology) (all []consumed, err error) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	for _, n := range t.Nodes {
		for _, h := range n.Handlers {
			broker := t.Node(topology.ChannelNode(h.Source()))
			if broker == nil || !counted(broker) {
				continue
			}
			b, err := a.broker(broker)
			if err != nil {
				return nil, err
			}
			if err := b.Connect(ctx); err != nil {
				return nil, fmt.Errorf("connect audit client to %q: %w", broker.Name, err)
			}
			for _, ref := range h.Sources() {
				all = append(all, consumed{
					node: broker.Name, ref: ref, channel: topology.ChannelName(ref),
					group: h.ConsumerGroup(n), broker: b,
				})
			}
		}
	}
	return all, nil
}

// declare makes the dead-letter channels that are promised and not made by anyone: a node that drops
// what it should dead-letter has no use for them, but the audit looks into them all the same.
func (a *auditors) declare(ctx context.Context, promise *topology.Topology) error {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	for _, ref := range promise.DeadLetterChannels() {
		n := promise.Node(topology.ChannelNode(ref))
		if n == nil || !readable(n) {
			continue
		}
		b, err := a.broker(n)
		if err == nil {
			err = b.Connect(ctx)
		}
		if err == nil {
			err = b.Declare(ctx, []*topology.Channel{{Ref: ref, Parallel: 1}})
		}
		if err != nil {
			return fmt.Errorf("declare dead-letter channel %q: %w", ref, err)
		}
	}
	return nil
}

// Close ends all audit clients.
func (a *auditors) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var errs []error
	for _, b := range a.brokers {
		errs = append(errs, b.Close())
	}
	for _, s := range a.stores {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
