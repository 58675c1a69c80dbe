// Package cast brings all simulated nodes of a topology to life and ends them again: its services
// and clouds, then its fleets.
//
// It acts in the run step of load → plan → run → check → report, between the stack of engines and
// the load. It promises that Start returns when every node is ready or with an error that names the
// node and what it waited for, and that nothing is left after Close. It is where simulators meet
// the clients of every protocol; it may not import scenarios, assertions or reports.
package cast

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/cloud"
	"github.com/faultline-sim/faultline/simulators/fleet"
	"github.com/faultline-sim/faultline/simulators/process"
	"github.com/faultline-sim/faultline/simulators/service"
	"github.com/faultline-sim/faultline/topology"
)

// ReadyWithin is how long a simulated node may take to be ready, where the context of Start allows
// that. A program of the user's own says for itself how long it may take.
const ReadyWithin = 30 * time.Second

// nodeApart is how many turns lie between two nodes: room for their replicas.
const nodeApart = 17

// busier is a simulator that knows how many messages are in its hands.
type busier interface{ Busy() int64 }

// Cast is every simulated node of one topology. It is safe for concurrent use.
type Cast struct {
	env      *simulators.Env
	services []simulators.Node // and clouds
	fleets   []simulators.Node // and what services send by themselves
	nodes    map[string]simulators.Node
	sources  map[string]simulators.Source // by flow
	closing  sync.Once
	closed   error
}

// New makes all nodes of env.Topology, which obey it as built. None runs yet.
func New(env *simulators.Env) (*Cast, error) { return NewWith(env, Clients()) }

// NewWith is New with other clients of brokers and stores.
func NewWith(env *simulators.Env, clients simulators.Clients) (*Cast, error) {
	c := &Cast{env: env, nodes: map[string]simulators.Node{}, sources: map[string]simulators.Source{}}
	for _, n := range env.Topology.Nodes {
		if err := c.add(env, clients, n); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Cast) add(env *simulators.Env, clients simulators.Clients, n *topology.Node) error {
	switch {
	case n.Own != nil, n.Kind == topology.Service, n.Kind == topology.Cloud:
		made, err := program(service.Config{Env: env, Node: n, Clients: clients})
		if err != nil {
			return err
		}
		c.services = append(c.services, made)
		c.nodes[n.Name] = made
		if len(n.Sends) == 0 {
			return nil
		}
		n = sender(n)
	case n.Kind != topology.Fleet:
		return nil
	}
	made, err := fleet.New(fleet.Config{Env: env, Node: n, Clients: clients})
	if err != nil {
		return err
	}
	c.fleets = append(c.fleets, made)
	if c.nodes[n.Name] == nil {
		c.nodes[n.Name] = made
	}
	for _, s := range n.Sends {
		c.sources[s.Flow] = made
	}
	return nil
}

// program makes a service or a cloud, or runs the user's own code in its place.
func program(cfg service.Config) (simulators.Node, error) {
	if run := cfg.Env.Code.Process(cfg.Node.Name); run != nil {
		return process.New(process.Config{Env: cfg.Env, Node: cfg.Node, Clients: cfg.Clients, Run: run})
	}
	switch {
	case cfg.Node.Elsewhere():
		return process.NewElsewhere(cfg.Env, cfg.Node), nil
	case cfg.Node.Own != nil:
		return process.New(process.Config{Env: cfg.Env, Node: cfg.Node, Clients: cfg.Clients})
	}
	if cfg.Node.Kind == topology.Cloud {
		return cloud.New(cfg)
	}
	return service.New(cfg)
}

// sender is the part of a service that begins messages by itself: as many members as the service
// has replicas, which do nothing but send.
func sender(n *topology.Node) *topology.Node {
	s := *n
	s.Count, s.Handlers = max(1, n.Replicas), nil
	return &s
}

// Start starts all services and clouds at once, then all fleets at once, and returns when every
// node is ready.
func (c *Cast) Start(ctx context.Context) error {
	for _, nodes := range [][]simulators.Node{c.services, c.fleets} {
		if err := c.startAll(ctx, nodes); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cast) startAll(ctx context.Context, nodes []simulators.Node) error {
	all, ctx := errgroup.WithContext(ctx)
	for i, n := range nodes {
		all.Go(func() error {
			c.env.Stagger(ctx, i*nodeApart)
			ctx, cancel := context.WithTimeout(ctx, readyWithin(n))
			defer cancel()
			if err := n.Start(ctx); err != nil {
				return fmt.Errorf("start %q: %w", n.Name(), err)
			}
			return nil
		})
	}
	return all.Wait()
}

// readyWithin is how long a node may take to be ready.
func readyWithin(n simulators.Node) time.Duration {
	if own, ok := n.(interface{ ReadyWithin() time.Duration }); ok {
		return max(ReadyWithin, own.ReadyWithin())
	}
	return ReadyWithin
}

// Node is the simulated node with a full name, nil when there is none.
func (c *Cast) Node(name string) simulators.Node { return c.nodes[name] }

// Source is what begins a flow's messages, nil when nothing does: a derived flow's are born of
// others.
func (c *Cast) Source(flow string) simulators.Source { return c.sources[flow] }

// Busy is how many messages are in the hands of simulated nodes: offered and not answered, queued,
// being handled, or waiting in a mailbox. Messages in brokers are not among them.
func (c *Cast) Busy() (n int64) {
	for _, nodes := range [][]simulators.Node{c.services, c.fleets} {
		for _, node := range nodes {
			if b, ok := node.(busier); ok {
				n += b.Busy()
			}
		}
	}
	return n
}

// Close ends the fleets, then the services and clouds, each lot at once, without waiting for work
// in hand. It may be called again.
func (c *Cast) Close() error {
	c.closing.Do(func() {
		c.closed = errors.Join(closeAll(c.fleets), closeAll(c.services))
	})
	return c.closed
}

func closeAll(nodes []simulators.Node) error {
	errs := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() {
			if err := n.Close(); err != nil {
				errs[i] = fmt.Errorf("close %q: %w", n.Name(), err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
