// Package service simulates programs of ours: nodes of kind service, and with cloud around it those
// outside our control. A service does what its declared handlers say, on any number of replicas
// that can be stopped, crashed, paused and scaled one by one.
//
// It acts in the run step of load → plan → run → check → report. It promises that each replica has
// connections, an address and policies of its own, that a stop finishes the work in hand and a
// crash abandons it, and that nothing of the service is left after Close. It talks through wires
// only and imports nothing of scenarios, checkers or fleets.
package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/auth"
	"github.com/faultline-sim/faultline/simulators/service/mailbox"
	"github.com/faultline-sim/faultline/simulators/service/program"
	"github.com/faultline-sim/faultline/topology"
)

// ErrClosed is asked of a service after its Close.
var ErrClosed = errors.New("service is closed")

// Config is what a service is made from.
type Config struct {
	Env     *simulators.Env
	Node    *topology.Node
	Clients simulators.Clients
	// Admit is asked before a request reaches any handler; false answers 429. Nil lets all in.
	Admit func() bool
}

// Service is one simulated program with all its replicas. It is safe for concurrent use.
type Service struct {
	env          *simulators.Env
	node         *topology.Node
	clients      simulators.Clients
	admit        func() bool
	program      *program.Program
	authority    *auth.Authority
	boxes        map[string]*mailbox.Boxes
	misbehaviors program.Misbehaviors
	applied      simulators.Tally
	watch        program.Watch

	ctx        context.Context // ends with Close
	close      context.CancelFunc
	background sync.WaitGroup // restarts after a crash of its own

	mu    sync.Mutex
	slots []*slot
}

var (
	_ simulators.Replicated = (*Service)(nil)
	_ simulators.Ledger     = (*Service)(nil)
	_ simulators.Worker     = (*Service)(nil)
)

// New makes a service that does not run yet. It fails when a handler cannot be done.
func New(c Config) (*Service, error) {
	p, err := program.Compile(c.Env.Topology, c.Node)
	if err != nil {
		return nil, fmt.Errorf("make service %q: %w", c.Node.Name, err)
	}
	for _, h := range c.Node.Handlers {
		if do := c.Env.Code.Handler(c.Node.Name, h.Name); do != nil {
			p.Replace(h.Name, do)
		}
	}
	authority, err := auth.New(c.Env.Key)
	if err != nil {
		return nil, fmt.Errorf("make service %q: %w", c.Node.Name, err)
	}
	s := &Service{
		env: c.Env, node: c.Node, clients: c.Clients, admit: c.Admit,
		program: p, authority: authority, boxes: map[string]*mailbox.Boxes{},
	}
	for _, ref := range p.Boxes {
		s.boxes[ref] = new(mailbox.Boxes)
	}
	s.ctx, s.close = context.WithCancel(context.Background())
	for i := range max(1, c.Node.Replicas) {
		s.slots = append(s.slots, newSlot(i))
	}
	return s, nil
}

// Name is the node's full name.
func (s *Service) Name() string { return s.node.Name }

// Start starts all replicas at once and returns when every one is ready.
func (s *Service) Start(ctx context.Context) error {
	var all errgroup.Group
	for i, slot := range s.all() {
		all.Go(func() error {
			s.env.Stagger(ctx, i)
			return s.start(ctx, slot)
		})
	}
	return all.Wait()
}

// Close ends all replicas at once, without waiting for the work in hand, and returns when nothing
// of the service is left.
func (s *Service) Close() error {
	s.close()
	s.background.Wait()
	var all sync.WaitGroup
	for _, slot := range s.all() {
		all.Go(func() { s.end(slot) })
	}
	all.Wait()
	return nil
}

// Inject makes the service misbehave until healed.
func (s *Service) Inject(b simulators.Behavior) (simulators.Injection, error) {
	injection, err := s.misbehaviors.Inject(s.env, b)
	if err != nil {
		return nil, fmt.Errorf("inject into %q: %w", s.node.Name, err)
	}
	return injection, nil
}

// AwaitInHand returns when a replica, or all together where it is below 0, handles so many messages.
func (s *Service) AwaitInHand(ctx context.Context, replica, atLeast int) error {
	return s.watch.Await(ctx, func() bool { return s.InHand(replica) >= int64(atLeast) })
}

// InHand is how many messages a replica, or all together where it is below 0, handles now.
func (s *Service) InHand(replica int) (n int64) {
	for _, slot := range s.all() {
		if r := slot.replica.Load(); r != nil && (replica < 0 || replica == slot.index) {
			n += r.actor.InHand()
		}
	}
	return n
}

// Applied reports the messages of a flow that the service has done all its work for, with how
// often. It is what the service's own durable storage would know, so it outlives crashes.
func (s *Service) Applied(flow string, found func(number int64, copies int)) {
	s.applied.Each(flow, found)
}

// Replicas is how many replicas there are, running or not.
func (s *Service) Replicas() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.slots)
}

// Running is how many replicas are started now.
func (s *Service) Running() (n int) {
	for _, slot := range s.all() {
		if slot.replica.Load() != nil {
			n++
		}
	}
	return n
}

// Scale starts or stops replicas until there are n; those with the highest numbers go first.
func (s *Service) Scale(ctx context.Context, n int) error {
	if n < 0 {
		return fmt.Errorf("scale %q to %d: not a number of replicas", s.node.Name, n)
	}
	s.mu.Lock()
	var leaving, coming []*slot
	if n < len(s.slots) {
		leaving = slices.Clone(s.slots[n:])
		s.slots = s.slots[:n:n]
	}
	for i := len(s.slots); i < n; i++ {
		coming = append(coming, newSlot(i))
	}
	s.slots = append(s.slots, coming...)
	s.mu.Unlock()
	var all errgroup.Group
	for _, slot := range leaving {
		all.Go(func() error { return s.stop(ctx, slot) })
	}
	for i, slot := range coming {
		all.Go(func() error {
			s.env.Stagger(ctx, i)
			return s.start(ctx, slot)
		})
	}
	return all.Wait()
}

func (s *Service) all() []*slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.slots)
}

func (s *Service) slot(replica int) (*slot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if replica < 0 || replica >= len(s.slots) {
		n := len(s.slots)
		return nil, fmt.Errorf("%q has no replica %d, there are %d", s.node.Name, replica, n)
	}
	return s.slots[replica], nil
}

// client names a replica towards brokers.
func (s *Service) client(replica int) string { return s.node.Name + "-" + strconv.Itoa(replica) }

// Busy is how many messages are in the service's hands: queued, being handled, or in its mailboxes.
func (s *Service) Busy() (n int64) {
	for _, slot := range s.all() {
		if r := slot.replica.Load(); r != nil {
			n += r.busy()
		}
	}
	for _, b := range s.boxes {
		n += b.Depths()
	}
	return n
}
