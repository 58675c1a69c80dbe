package simulators

import (
	"context"
	"net"

	"github.com/faultline-sim/faultline/simulators/message"
)

// Code is code of the user's own that runs in place of what is simulated. A nil *Code is none. It
// is not changed while a run goes on; its functions are called from many goroutines.
type Code struct {
	// Handlers do the work of declared handlers: in place of a handler's first work step, or before
	// its first step where it has no work.
	Handlers map[HandlerName]HandlerFunc
	// Processes run in place of whole services or clouds, by the node's full name.
	Processes map[string]ProcessFunc
	// Await waits, by the run's clock and not for long, until functions that were told to return have
	// done so. The run calls it when everything else of it has ended; nil waits for nobody.
	Await func()
}

// HandlerName is a handler of a node, the node by its full name.
type HandlerName struct{ Node, Handler string }

// HandlerFunc does a handler's work for one message. Attempt counts from 1 within a delivery. Its
// error fails the attempt; a *Failure says why itself. It must return when ctx ends.
type HandlerFunc func(ctx context.Context, m *message.Message, attempt int) error

// ProcessFunc is one replica of a node, from its start until it returns; it is to return when ctx
// ends. Env holds the addresses of its neighbours, by which it may dial as it pleases in real time;
// in virtual time net is its only way.
type ProcessFunc func(ctx context.Context, env map[string]string, net Network) error

// Network is how a process reaches its neighbours and is reached by them, in any run's time.
type Network interface {
	// Dial connects to a neighbour at one of the addresses in the process's environment.
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
	// Listen listens at the process's own address, where others call it. What it leaves open is
	// closed when the process has ended.
	Listen(ctx context.Context) (net.Listener, error)
}

// Handler is the code for a handler, nil when it is simulated.
func (c *Code) Handler(node, handler string) HandlerFunc {
	if c == nil {
		return nil
	}
	return c.Handlers[HandlerName{node, handler}]
}

// Process is the code for a node, nil when it is simulated.
func (c *Code) Process(node string) ProcessFunc {
	if c == nil {
		return nil
	}
	return c.Processes[node]
}

// AwaitReturn is Await, where there is one.
func (c *Code) AwaitReturn() {
	if c != nil && c.Await != nil {
		c.Await()
	}
}

// OwnCode is a node that runs code of the user's own: the history has no rows of what it does.
type OwnCode interface {
	Node
	RunsOwnCode()
}
