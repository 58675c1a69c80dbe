// Package dialed keeps account of the connections that a client library dials, so that a client's
// Close can promise that nothing is left, whatever state the wire is in.
//
// It is used in the run step of load → plan → run → check → report, by the clients beside it. It
// imports nothing of the project but the set of what is open.
package dialed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/faultline-sim/faultline/topology/wire/tracked"
)

// ErrDial marks an error of the dial itself: nothing of a request was sent.
var ErrDial = errors.New("connect")

// Conns are the connections of one client. It is safe for concurrent use.
type Conns struct {
	life context.Context
	end  context.CancelFunc

	mu     sync.Mutex
	closed bool
	open   tracked.Set[*Conn]
	left   sync.WaitGroup // connections that their owner has not closed, dials under way
}

// New is an account without connections.
func New() *Conns {
	life, end := context.WithCancel(context.Background())
	return &Conns{life: life, end: end}
}

// Dial makes a connection that is accounted for. Its errors wrap ErrDial.
func (c *Conns) Dial(
	ctx context.Context, dial func(context.Context) (net.Conn, error),
) (*Conn, error) {
	if !c.begin() {
		return nil, fmt.Errorf("%w: %w", ErrDial, net.ErrClosed)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	dialled, err := dial(ctx)
	if err != nil {
		c.left.Done()
		return nil, fmt.Errorf("%w: %w", ErrDial, err)
	}
	made := &Conn{Conn: dialled, of: c}
	c.mu.Lock()
	c.open.Add(made)
	closed := c.closed
	c.mu.Unlock()
	if closed {
		dialled.Close()
	}
	return made, nil
}

// begin counts a connection before it is dialled; false when the account is closed.
func (c *Conns) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.left.Add(1)
	return true
}

// Sever closes all connections under the client library, which then meets errors, and refuses new
// ones.
func (c *Conns) Sever() {
	c.mu.Lock()
	c.closed = true
	open := c.open.All()
	c.mu.Unlock()
	c.end()
	for _, conn := range open {
		conn.Conn.Close()
	}
}

// Reap closes in its owner's place what a library has dialled and forgotten. It is called when the
// library has ended.
func (c *Conns) Reap() {
	c.mu.Lock()
	open := c.open.All()
	c.mu.Unlock()
	for _, conn := range open {
		conn.Close()
	}
}

// Wait returns when the library has let go of every connection.
func (c *Conns) Wait() { c.left.Wait() }

// Conn is one connection. It counts the writes that were begun.
type Conn struct {
	net.Conn
	of     *Conns
	writes atomic.Int64
	done   sync.Once
}

// Write counts before it writes: a write that hangs may have delivered bytes.
func (c *Conn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// Writes is how many writes were begun.
func (c *Conn) Writes() int64 { return c.writes.Load() }

// Close closes the connection; the owner calls it, once or more.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	c.done.Do(func() {
		c.of.mu.Lock()
		c.of.open.Remove(c)
		c.of.mu.Unlock()
		c.of.left.Done()
	})
	return err
}
