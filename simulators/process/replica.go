package process

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/faultline-sim/faultline/topology/wire/relay"
)

// endWithin is how long a function may take to return when its context has ended.
const endWithin = 3 * time.Second

// slot is the place of one replica. Who holds the turn may start or end it.
type slot struct {
	index   int
	turn    chan struct{}
	running atomic.Pointer[replica]
}

func newSlot(index int) *slot { return &slot{index: index, turn: make(chan struct{}, 1)} }

// replica is one call of the function, from its start to its return.
type replica struct {
	port     *relay.Port
	cancel   context.CancelFunc
	ctx      context.Context // of the function
	returned chan struct{}   // closed when it has
	err      error           // what it returned; read after returned is closed
}

func (n *Node) start(ctx context.Context, s *slot) error {
	if err := s.take(ctx); err != nil {
		return fmt.Errorf("start %s[%d]: %w", n.Node.Name, s.index, err)
	}
	defer s.release()
	if n.isClosed() {
		return fmt.Errorf("start %s[%d]: it is closed", n.Node.Name, s.index)
	}
	if r := s.running.Load(); r != nil {
		if !r.over() {
			return nil
		}
		r.port.Close()
	}
	port := relay.NewPort(n.Env.Fabric, n.Node.Name, s.index)
	r := &replica{port: port, returned: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	s.running.Store(r)
	err := n.run(ctx, s, r)
	if err == nil {
		n.state(s.index, "ready")
		return nil
	}
	s.running.Store(nil)
	err = errors.Join(err, n.leave(context.Background(), r, true))
	return &NotReadyError{fmt.Errorf("start %s[%d]: %w", n.Node.Name, s.index, err)}
}

// NotReadyError is a function that did not do what its node needs in order to be ready.
type NotReadyError struct{ Err error }

// Error says what was waited for.
func (e *NotReadyError) Error() string { return e.Err.Error() }

// Unwrap is what is behind it.
func (e *NotReadyError) Unwrap() error { return e.Err }

// run opens the replica's connections, calls the function and returns when it is ready.
func (n *Node) run(ctx context.Context, s *slot, r *replica) error {
	near, err := n.surroundings(r.port, s.index)
	if err != nil {
		close(r.returned)
		return err
	}
	n.state(s.index, "up")
	go func() {
		defer close(r.returned)
		r.err = n.Run(r.ctx, near.env)
		if r.ctx.Err() == nil {
			n.state(s.index, "crash") // nobody told it to return
			r.port.Sever()
		}
	}()
	for _, e := range near.awaited {
		select {
		case <-e.Answered():
		case <-r.returned:
			return r.early()
		case <-ctx.Done():
			return fmt.Errorf("it did not begin to take messages over %s: %w", e.Address(), ctx.Err())
		}
	}
	if !n.called {
		return nil
	}
	if err := r.listens(ctx); err != nil {
		return err
	}
	_, err = r.port.In()
	return err
}

// listenPoll is how often it is asked whether the process listens.
const listenPoll = 2 * time.Millisecond

// listens waits until the process takes connections.
func (r *replica) listens(ctx context.Context) error {
	tick := time.NewTicker(listenPoll)
	defer tick.Stop()
	for {
		c, err := r.port.Dial(ctx)
		if err == nil {
			return c.Close()
		}
		select {
		case <-tick.C:
		case <-r.returned:
			return r.early()
		case <-ctx.Done():
			return fmt.Errorf("it does not listen on LISTEN_ADDR: %w", err)
		}
	}
}

// early is a function that has returned before it was ready.
func (r *replica) early() error {
	if r.err == nil {
		return errors.New("its function returned")
	}
	return fmt.Errorf("its function returned: %w", r.err)
}

func (r *replica) over() bool {
	select {
	case <-r.returned:
		return true
	default:
		return false
	}
}

// end ends a replica, if it runs; abrupt resets its connections first.
func (n *Node) end(ctx context.Context, s *slot, abrupt bool) error {
	if r := s.running.Load(); r != nil && abrupt {
		n.kill(s, r)
	}
	if err := s.take(ctx); err != nil {
		return fmt.Errorf("end %s[%d]: %w", n.Node.Name, s.index, err)
	}
	defer s.release()
	r := s.running.Swap(nil)
	if r == nil {
		return nil
	}
	early := r.over() && r.ctx.Err() == nil
	err := n.leave(ctx, r, abrupt)
	if !abrupt && !early {
		n.state(s.index, "down")
	}
	if err != nil {
		return fmt.Errorf("end %s[%d]: %w", n.Node.Name, s.index, err)
	}
	return nil
}

// kill takes effect at once: nothing that the function does from now on reaches anyone.
func (n *Node) kill(s *slot, r *replica) {
	if r.ctx.Err() == nil && !r.over() {
		n.state(s.index, "crash")
	}
	r.cancel()
	r.port.Sever()
}

// leave ends the function's context and waits until it has returned. Connections stay up to then,
// unless it is abrupt. One that will not return in time is killed, as an orchestrator would: it is
// left behind without connections.
func (n *Node) leave(ctx context.Context, r *replica, abrupt bool) error {
	r.cancel()
	if abrupt {
		r.port.Sever()
	}
	ctx, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	select {
	case <-r.returned:
	case <-ctx.Done():
	}
	return r.port.Close()
}

func (s *slot) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slot) release() { <-s.turn }
