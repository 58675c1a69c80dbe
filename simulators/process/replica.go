package process

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/faultline-sim/faultline/topology/wire/relay"
)

// slot is the place of one replica. Who holds the turn may start or end it.
type slot struct {
	index   int
	turn    chan struct{}
	running atomic.Pointer[replica]
	deaths  atomic.Int64 // by itself, since it was last started by somebody
}

func newSlot(index int) *slot { return &slot{index: index, turn: make(chan struct{}, 1)} }

// replica is one body, from its start to its end.
type replica struct {
	port     *relay.Port
	body     body
	told     atomic.Bool   // somebody asked it to end
	returned chan struct{} // closed when it has ended, and that is recorded
}

var errReturned = errors.New("its function returned")

func (n *Node) start(ctx context.Context, s *slot) error {
	if err := s.take(ctx); err != nil {
		return fmt.Errorf("start %s[%d]: %w", n.Node.Name, s.index, err)
	}
	defer s.release()
	if r := s.running.Load(); r != nil {
		if !r.over() {
			return nil
		}
		if err := r.close(); err != nil {
			return fmt.Errorf("start %s[%d]: %w", n.Node.Name, s.index, err)
		}
	}
	s.deaths.Store(0)
	return n.begin(ctx, s)
}

// begin puts a new body in a slot whose turn the caller has, and returns when it is ready.
func (n *Node) begin(ctx context.Context, s *slot) error {
	if n.isClosed() {
		return fmt.Errorf("start %s[%d]: it is closed", n.Node.Name, s.index)
	}
	body, port, err := n.newBody(ctx, s.index)
	if err != nil {
		return fmt.Errorf("start %s[%d]: %w", n.Node.Name, s.index, err)
	}
	r := &replica{port: port, body: body, returned: make(chan struct{})}
	s.running.Store(r)
	err = n.run(ctx, s, r)
	if err == nil {
		n.state(s.index, "ready")
		return nil
	}
	s.running.Store(nil)
	err = errors.Join(err, n.leave(context.Background(), r, true))
	return &NotReadyError{fmt.Errorf("start %s[%d]: %w", n.Node.Name, s.index, err)}
}

// NotReadyError is a program that did not do what its node needs in order to be ready.
type NotReadyError struct{ Err error }

// Error says what was waited for.
func (e *NotReadyError) Error() string { return e.Err.Error() }

// Unwrap is what is behind it.
func (e *NotReadyError) Unwrap() error { return e.Err }

// run opens the replica's connections, begins its body and returns when it is ready.
func (n *Node) run(ctx context.Context, s *slot, r *replica) error {
	ctx, cancel := n.readyWithin(ctx)
	defer cancel()
	near, err := n.surroundings(r.port, s.index)
	if err == nil {
		err = r.body.begin(ctx, near)
	}
	if err != nil {
		close(r.returned)
		return err
	}
	n.state(s.index, "up")
	go n.watch(s, r)
	if err := n.awaitReady(ctx, r, near); err != nil {
		return err
	}
	if n.called {
		_, err = r.port.In()
	}
	return err
}

// watch waits for a replica's end. One that nobody asked for stands in the history, and is followed
// by a new start where the node is declared so.
func (n *Node) watch(s *slot, r *replica) {
	<-r.body.ended()
	byItself := !r.told.Load()
	if byItself {
		n.state(s.index, "crash")
		r.port.Sever()
	}
	close(r.returned)
	if byItself && n.Run == nil && n.Node.Own.Restart == "always" {
		n.reviveLater(s, r)
	}
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
	early := r.over() && !r.told.Load()
	err := n.leave(ctx, r, abrupt)
	if !abrupt && !early {
		n.state(s.index, "down")
	}
	if err != nil {
		return fmt.Errorf("end %s[%d]: %w", n.Node.Name, s.index, err)
	}
	return nil
}

// kill takes effect at once: nothing that the program does from now on reaches anyone.
func (n *Node) kill(s *slot, r *replica) {
	if !r.told.Swap(true) && !r.over() {
		n.state(s.index, "crash")
	}
	r.body.kill()
	r.port.Sever()
}

// leave asks the body to end and waits until it has. Connections stay up to then, unless it is
// abrupt. One that will not end in time is killed, as an orchestrator would; a function is left
// behind without connections.
func (n *Node) leave(ctx context.Context, r *replica, abrupt bool) error {
	r.told.Store(true)
	if abrupt {
		r.body.kill()
		r.port.Sever()
	} else {
		r.body.stop()
	}
	ctx, cancel := context.WithTimeout(ctx, r.body.patience())
	defer cancel()
	select {
	case <-r.returned:
	case <-ctx.Done():
		r.body.kill()
		r.port.Sever()
		n.awaitKilled(r)
	}
	return r.close()
}

// close removes what is left of a replica that has ended.
func (r *replica) close() error { return errors.Join(r.port.Close(), r.body.discard()) }

// killedWithin bounds the wait for what was killed: nothing but a function outlives it.
const killedWithin = 5 * time.Second

func (n *Node) awaitKilled(r *replica) {
	if n.Run != nil {
		return
	}
	timer := time.NewTimer(killedWithin)
	defer timer.Stop()
	select {
	case <-r.returned:
	case <-timer.C:
	}
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
