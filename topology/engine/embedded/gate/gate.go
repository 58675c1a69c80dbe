// Package gate is the door of an embedded engine: a listener that knows its connections, so that
// stopping is orderly, killing is abrupt, and a probe needs no dial of its own.
//
// It serves the run step of load → plan → run → check → report. It promises that after Close no
// connection is accepted, and after Drop none is left open. It imports nothing of the
// project but the set of what is open: the listener is the fabric's.
package gate

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/faultline-sim/faultline/topology/wire/tracked"
)

// retryAccept is the pause after an Accept that failed for want of descriptors.
const retryAccept = 10 * time.Millisecond

// Gate is a net.Listener around another one. It is safe for concurrent use and owned by the engine
// that made it.
type Gate struct {
	listener net.Listener
	arrived  chan net.Conn
	shut     chan struct{}
	done     chan struct{}
	close    sync.Once

	mu    sync.Mutex
	conns tracked.Set[*conn]
}

// New takes over a listener.
func New(l net.Listener) *Gate {
	g := &Gate{
		listener: l,
		arrived:  make(chan net.Conn),
		shut:     make(chan struct{}),
		done:     make(chan struct{}),
	}
	go g.accept()
	return g
}

// accept brings connections in until the gate is closed. One failed Accept does not end it.
func (g *Gate) accept() {
	defer close(g.done)
	for {
		c, err := g.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			select {
			case <-time.After(retryAccept):
				continue
			case <-g.shut:
				return
			}
		}
		select {
		case g.arrived <- c:
		case <-g.shut:
			c.Close()
		}
	}
}

// Accept gives the next connection, or net.ErrClosed when the gate is closed.
func (g *Gate) Accept() (net.Conn, error) {
	select {
	case c := <-g.arrived:
		return g.track(c), nil
	case <-g.shut:
		return nil, net.ErrClosed
	}
}

// Probe is a connection in memory, accepted like any other. It is how an engine asks itself
// whether a client would be answered.
func (g *Gate) Probe(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case g.arrived <- probe{far}:
		return near, nil
	case <-ctx.Done():
	case <-g.shut:
	}
	near.Close()
	far.Close()
	return nil, errors.Join(net.ErrClosed, ctx.Err())
}

// probe is the far end of an engine's own connection.
type probe struct{ net.Conn }

// Addr is the listener's address.
func (g *Gate) Addr() net.Addr { return g.listener.Addr() }

// Close stops accepting and returns when nothing is being accepted; open connections stay.
func (g *Gate) Close() error {
	g.close.Do(func() {
		close(g.shut)
		g.listener.Close()
	})
	<-g.done
	return nil
}

// Drop closes every open connection and says how many of them were clients'. Abrupt ones are reset,
// so that bytes not yet sent are lost, as they are when a process dies.
func (g *Gate) Drop(abrupt bool) int {
	g.mu.Lock()
	open := g.conns.All()
	g.mu.Unlock()

	clients := 0
	for _, c := range open {
		if hard, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok && abrupt {
			hard.SetLinger(0) // fails only where it has ended already
		}
		if _, own := c.Conn.(probe); !own {
			clients++
		}
		c.Close()
	}
	return clients
}

// Open is how many connections are open now.
func (g *Gate) Open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.conns.Len()
}

func (g *Gate) track(c net.Conn) net.Conn {
	kept := &conn{Conn: c, gate: g}
	g.mu.Lock()
	g.conns.Add(kept)
	g.mu.Unlock()
	return kept
}

// conn is a connection that the gate forgets once it is closed.
type conn struct {
	net.Conn
	gate *Gate
}

// Close closes the connection.
func (c *conn) Close() error {
	c.gate.mu.Lock()
	c.gate.conns.Remove(c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}
