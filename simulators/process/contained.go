package process

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/container/service"
	"github.com/faultline-sim/faultline/topology/wire"
	"github.com/faultline-sim/faultline/topology/wire/relay"
)

// askWithin bounds what is asked of the daemon on a container's behalf.
const askWithin = 20 * time.Second

// contained is a container of the user's own image, in a network of its own in which nothing
// listens but what its wires lead to.
type contained struct {
	own    *topology.Own
	image  string
	pod    *service.Pod
	output *output
	over   chan struct{}
	err    error // read after over is closed

	mu      sync.Mutex
	program *service.Program // nil before begin
	frozen  bool
}

// contained says that the node's replicas run in containers.
func (n *Node) contained() bool {
	return n.Run == nil && (n.Node.Own.Image != "" || n.Node.Own.Build != "")
}

// fetch gets or builds the image that the node's containers are made of.
func (n *Node) fetch(ctx context.Context) (err error) {
	if !n.contained() {
		return nil
	}
	if err := service.Unable(); err != nil {
		return err
	}
	own := n.Node.Own
	say := func(what string) {
		if n.Env.Progress != nil {
			n.Env.Progress(n.Node.Name, what)
		}
	}
	if own.Build != "" {
		say("building the image of " + own.Build)
		n.image, err = service.Build(ctx, own.Build)
		return err
	}
	n.image = own.Image
	return service.Fetch(ctx, n.image, say)
}

// newContained makes a replica's network, in which its ways to others are opened before its program
// runs.
func (n *Node) newContained(ctx context.Context, replica int, out *output) (
	body, *relay.Port, error,
) {
	pod, err := service.NewPod(ctx, service.Config{
		Run: n.Env.Run, Node: n.Node.Name, Replica: replica,
	})
	if err != nil {
		return nil, nil, errors.Join(err, out.close())
	}
	c := &contained{
		own: n.Node.Own, image: n.image, pod: pod, output: out, over: make(chan struct{}),
	}
	within := wire.Namespace{PID: pod.PID()}
	return c, relay.NewPortIn(n.Env.Fabric, within, n.Node.Name, replica), nil
}

func (c *contained) begin(ctx context.Context, near surroundings) error {
	program, err := c.pod.Start(ctx, c.image, near.env, c.output)
	if err != nil {
		return err
	}
	c.output.note("started a container of %s", c.image)
	c.mu.Lock()
	c.program = program
	c.mu.Unlock()
	go c.live(program)
	return nil
}

// live is the container from its start until nothing of it is left but its network.
func (c *contained) live(p *service.Program) {
	defer close(c.over)
	<-p.Ended()
	code, err := p.Code()
	status := fmt.Sprintf("exit code %d", code)
	c.output.note("ended: %s", status)
	c.err = errors.Join(ended(status, c.output.tail()), err, c.output.close())
}

// discard removes the network, when nothing runs in it and nobody listens in it any more.
func (c *contained) discard() error {
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	return errors.Join(c.output.close(), c.pod.Close(ctx))
}

func (c *contained) ended() <-chan struct{}  { return c.over }
func (c *contained) said() <-chan struct{}   { return c.output.said }
func (c *contained) end() error              { return c.err }
func (c *contained) patience() time.Duration { return c.own.StopWithin }
func (c *contained) stop()                   { c.signal("SIGTERM") }
func (c *contained) kill()                   { c.signal("SIGKILL") }

// signal signals the container, if there is one. One that is frozen goes on: it could not hear.
func (c *contained) signal(name string) {
	c.mu.Lock()
	program := c.program
	c.mu.Unlock()
	if program == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	if err := errors.Join(program.Signal(ctx, name), program.Resume(ctx)); err != nil {
		c.output.note("%v", err)
	}
}

func (c *contained) freeze() (thaw func(), ok bool) {
	c.mu.Lock()
	program, frozen := c.program, c.frozen
	c.frozen = true
	c.mu.Unlock()
	if program == nil || frozen {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	if err := program.Pause(ctx); err != nil {
		c.output.note("%v", err)
		c.thawed()
		return nil, false
	}
	return once(func() {
		ctx, cancel := context.WithTimeout(context.Background(), askWithin)
		defer cancel()
		if err := program.Resume(ctx); err != nil {
			c.output.note("%v", err)
		}
		c.thawed()
	}), true
}

func (c *contained) thawed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = false
}

// program is a replica's container, an error where it has none that runs.
func (n *Node) containerOf(replica int) (*service.Program, *slot, error) {
	s, err := n.slot(replica)
	if err != nil {
		return nil, nil, err
	}
	if !n.contained() {
		return nil, nil, fmt.Errorf("the replicas of %q do not run in containers", n.Node.Name)
	}
	r := s.running.Load()
	if r == nil || r.over() {
		return nil, nil, fmt.Errorf("%s[%d] does not run", n.Node.Name, replica)
	}
	c := r.body.(*contained)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.program == nil {
		return nil, nil, fmt.Errorf("%s[%d] does not run yet", n.Node.Name, replica)
	}
	return c.program, s, nil
}

// LimitReplica bounds a replica's processor time in cores and its memory in bytes; 0 leaves that
// one alone.
func (n *Node) LimitReplica(ctx context.Context, replica int, cores float64, memory int64) (
	lift func(context.Context) error, err error,
) {
	program, s, err := n.containerOf(replica)
	if err == nil {
		err = program.Limit(ctx, cores, memory)
	}
	if err != nil {
		return nil, fmt.Errorf("limit %s[%d]: %w", n.Node.Name, replica, err)
	}
	free := func(bound bool) float64 {
		if bound {
			return -1
		}
		return 0
	}
	return func(ctx context.Context) error {
		if again, _, err := n.containerOf(replica); err == nil && again == program {
			return program.Limit(ctx, free(cores > 0), int64(free(memory > 0)))
		}
		return n.start(ctx, s) // it ended for want of it
	}, nil
}

// Usage is what all containers of the node use together.
func (n *Node) Usage(ctx context.Context) (sum engine.Usage, err error) {
	for i := range n.Replicas() {
		program, _, err := n.containerOf(i)
		if err != nil {
			continue // one that does not run uses nothing
		}
		u, err := program.Usage(ctx)
		if err != nil {
			continue
		}
		sum.CPU += u.CPU
		sum.Memory += u.Memory
	}
	if sum == (engine.Usage{}) {
		err = fmt.Errorf("measure %q: no container of it runs", n.Node.Name)
	}
	return sum, err
}
