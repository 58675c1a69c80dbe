package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/topology/wire/relay"
)

// body is what runs in a replica's place, once: a function, a process of this machine, a container.
// Its methods may be called in any order and from several goroutines once begin has returned nil.
type body interface {
	// begin starts it with an environment.
	begin(ctx context.Context, near surroundings) error
	// ended is closed when it has come to its end, for whatever reason, and nothing of it runs.
	ended() <-chan struct{}
	// said is closed when it has printed the line that its node waits for; nil where none is.
	said() <-chan struct{}
	// end is how it ended, nil for in order; it is read after ended is closed.
	end() error
	// stop asks it to end.
	stop()
	// kill ends it at once, or cuts it off where it cannot be ended.
	kill()
	// freeze holds it where it stands until thaw is called; ok is false when it is held already.
	freeze() (thaw func(), ok bool)
	// discard removes what is left of it, once it has ended and nobody is connected to it any more.
	discard() error
	// patience is how long it may take to end when it was asked to.
	patience() time.Duration
}

// endWithin is how long a function may take to return when its context has ended.
const endWithin = 3 * time.Second

// function is a function of the user's own. It cannot be ended against its will: what is killed
// goes on without connections.
type function struct {
	run      simulators.ProcessFunc
	port     *relay.Port
	ctx      context.Context
	cancel   context.CancelFunc
	returned chan struct{}
	err      error
}

func newFunction(run simulators.ProcessFunc, port *relay.Port) *function {
	f := &function{run: run, port: port, returned: make(chan struct{})}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

func (f *function) begin(_ context.Context, near surroundings) error {
	go func() {
		defer close(f.returned)
		f.err = f.run(f.ctx, near.env, network{f.port, near.env["LISTEN_ADDR"] != ""})
	}()
	return nil
}

// network is a function's way to its neighbours.
type network struct {
	port   *relay.Port
	called bool
}

func (n network) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return n.port.DialOut(ctx, network, addr)
}

func (n network) Listen(context.Context) (net.Listener, error) {
	if !n.called {
		return nil, errNotCalled
	}
	return n.port.Listen()
}

// errNotCalled is answered to a function that would listen in the place of a node without callers.
var errNotCalled = errors.New("nobody calls this node: the topology has no wire to it")

func (f *function) ended() <-chan struct{} { return f.returned }
func (f *function) said() <-chan struct{}  { return nil }
func (f *function) stop()                  { f.cancel() }
func (f *function) kill()                  { f.cancel() }
func (f *function) discard() error         { return nil }
func (f *function) patience() time.Duration {
	return endWithin
}

func (f *function) end() error {
	if f.err == nil {
		return errReturned
	}
	return fmt.Errorf("its function returned: %w", f.err)
}

// freeze holds all that goes in and out; what is computed meanwhile nobody sees.
func (f *function) freeze() (thaw func(), ok bool) { return f.port.Freeze() }

// once makes a function that does something the first time it is called.
func once(do func()) func() {
	var o sync.Once
	return func() { o.Do(do) }
}
