// Package process runs a program of the user's own in the place of a simulated node: a function, a
// command of this machine, a container, or something that runs elsewhere and is only called. Each
// replica has connections of its own to its neighbours.
//
// It acts in the run step of load → plan → run → check → report. It promises that all connections
// of a program that it is told the addresses of go over its node's wires, so that faults on them
// hurt it and it alone, that a kill resets them, and that nothing is left after Close but a function
// that will not return, and that without connections. It records when replicas come and go; what
// happens inside is not seen. What a program's environment holds is never recorded. It may not
// import scenarios, checkers or reports.
package process

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/auth"
	"github.com/faultline-sim/faultline/simulators/service/program"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/wire/relay"
)

// Config is what a node is made from.
type Config struct {
	Env     *simulators.Env
	Node    *topology.Node
	Clients simulators.Clients
	// Run is one replica; nil runs what the node declares (topology.Own).
	Run simulators.ProcessFunc
}

// Node is a service or cloud that is run by code of the user's own. It is safe for concurrent use.
type Node struct {
	Config
	program   *program.Program // what the simulated one would use: channels, tables, callees
	authority *auth.Authority
	called    bool // others dial it

	image    string          // that containers are made of; set before the first begins
	life     context.Context // ends with Close
	endLife  context.CancelFunc
	revivals sync.WaitGroup

	mu     sync.Mutex
	slots  []*slot
	closed bool
}

var (
	_ simulators.Limited = (*Node)(nil)
	_ engine.Metered     = (*Node)(nil)
)

// New makes a node that does not run yet.
func New(c Config) (*Node, error) {
	if len(c.Node.Sends) > 0 {
		return nil, fmt.Errorf("make process %q: it begins messages by itself, "+
			"which a program cannot be asked to", c.Node.Name)
	}
	p, err := program.Compile(c.Env.Topology, c.Node)
	if err != nil {
		return nil, fmt.Errorf("make process %q: %w", c.Node.Name, err)
	}
	authority, err := auth.New(c.Env.Key)
	if err != nil {
		return nil, fmt.Errorf("make process %q: %w", c.Node.Name, err)
	}
	n := &Node{Config: c, program: p, authority: authority}
	n.life, n.endLife = context.WithCancel(context.Background())
	for _, w := range c.Env.Topology.Wires() {
		n.called = n.called || w.To == c.Node.Name
	}
	for i := range max(1, c.Node.Replicas) {
		n.slots = append(n.slots, newSlot(i))
	}
	return n, nil
}

// Name is the node's full name.
func (n *Node) Name() string { return n.Node.Name }

// RunsOwnCode says that nothing is seen of what the node does.
func (n *Node) RunsOwnCode() {}

// Start makes the channels and tables that the node uses, starts all replicas at once, and returns
// when every one is ready.
func (n *Node) Start(ctx context.Context) error {
	n.state(-1, history.StateCode)
	if err := n.declare(ctx); err != nil {
		return err
	}
	if err := n.fetch(ctx); err != nil {
		return err
	}
	var all errgroup.Group
	for i, s := range n.all() {
		all.Go(func() error {
			n.Env.Stagger(ctx, i)
			return n.start(ctx, s)
		})
	}
	return all.Wait()
}

// newBody is what is to run in a replica's place, and its way to others.
func (n *Node) newBody(ctx context.Context, replica int) (body, *relay.Port, error) {
	if n.Run != nil {
		port := relay.NewPort(n.Env.Fabric, n.Node.Name, replica)
		return newFunction(n.Run, port), port, nil
	}
	own := n.Node.Own
	var want func(string) bool
	if own.Ready.Log != "" {
		want = own.Ready.Matches
	}
	out, err := newOutput(n.Env.Logs, n.Env.Topology.Short(n.Node.Name), replica, want)
	if err != nil {
		return nil, nil, err
	}
	if len(own.Command) == 0 {
		return n.newContained(ctx, replica, out)
	}
	return newCommand(own, out), relay.NewPort(n.Env.Fabric, n.Node.Name, replica), nil
}

// Inject is not possible: nobody but the function itself decides what it does.
func (n *Node) Inject(b simulators.Behavior) (simulators.Injection, error) {
	return nil, fmt.Errorf("inject %q: %q runs code of its own, which does not misbehave by order",
		b.Kind, n.Node.Name)
}

// Close ends all replicas at once and returns when they have ended, or have had the time that they
// are given.
func (n *Node) Close() error {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.endLife()
	n.revivals.Wait()
	slots := n.all()
	errs := make([]error, len(slots))
	var all sync.WaitGroup
	for i, s := range slots {
		all.Go(func() { errs[i] = n.end(context.Background(), s, false) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// Replicas is how many replicas there are, running or not.
func (n *Node) Replicas() int { return len(n.all()) }

// StartReplica starts a stopped or killed replica and returns when it is ready.
func (n *Node) StartReplica(ctx context.Context, replica int) error {
	s, err := n.slot(replica)
	if err != nil {
		return err
	}
	return n.start(ctx, s)
}

// StopReplica asks a replica to end and returns when it has.
func (n *Node) StopReplica(ctx context.Context, replica int) error {
	s, err := n.slot(replica)
	if err != nil {
		return err
	}
	return n.end(ctx, s, false)
}

// CrashReplica ends a replica as kill -9 does and resets all its connections.
func (n *Node) CrashReplica(ctx context.Context, replica int) error {
	s, err := n.slot(replica)
	if err != nil {
		return err
	}
	return n.end(ctx, s, true)
}

// PauseReplica freezes a replica until resume is called: a process stands still, of a function all
// that it sends or is sent is held.
func (n *Node) PauseReplica(replica int) (resume func(), err error) {
	s, err := n.slot(replica)
	if err != nil {
		return nil, err
	}
	r := s.running.Load()
	if r == nil {
		return nil, fmt.Errorf("pause %s[%d]: it does not run", n.Node.Name, replica)
	}
	resume, ok := r.body.freeze()
	if !ok {
		return nil, fmt.Errorf("pause %s[%d]: it is paused already", n.Node.Name, replica)
	}
	return resume, nil
}

// Scale starts or stops replicas until there are count; those with the highest numbers go first.
func (n *Node) Scale(ctx context.Context, count int) error {
	if count < 0 {
		return fmt.Errorf("scale %q to %d: not a number of replicas", n.Node.Name, count)
	}
	n.mu.Lock()
	var leaving, coming []*slot
	if count < len(n.slots) {
		leaving = append(leaving, n.slots[count:]...)
		n.slots = n.slots[:count:count]
	}
	for i := len(n.slots); i < count; i++ {
		coming = append(coming, newSlot(i))
	}
	n.slots = append(n.slots, coming...)
	n.mu.Unlock()
	var all errgroup.Group
	for _, s := range leaving {
		all.Go(func() error { return n.end(ctx, s, false) })
	}
	for _, s := range coming {
		all.Go(func() error { return n.start(ctx, s) })
	}
	return all.Wait()
}

func (n *Node) all() []*slot {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]*slot(nil), n.slots...)
}

func (n *Node) slot(replica int) (*slot, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if replica < 0 || replica >= len(n.slots) {
		return nil, fmt.Errorf("%q has no replica %d, there are %d", n.Node.Name, replica, len(n.slots))
	}
	return n.slots[replica], nil
}

func (n *Node) isClosed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.closed
}

// state records a change of a replica; −1 is the node as a whole.
func (n *Node) state(replica int, reason string) {
	e := history.New(history.NodeState, n.Env.Recorder.Now())
	e.Node, e.Replica, e.Reason = n.Node.Name, int32(max(0, replica)), reason
	n.Env.Recorder.Record(&e)
}
