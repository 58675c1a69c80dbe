package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// duplex is what carries a connection's bytes: a socket, or a ring in memory.
type duplex interface {
	net.Conn
	CloseWrite() error
	SetLinger(sec int) error
}

// conn is one connection of a dialler: it counts bytes for its wire and ends politely.
//
// Toxiproxy leaves goroutines behind, and may hang while a toxic is removed, when it writes to a
// connection whose other end has gone. So Close ends the sending side only and reads on, unseen by
// the owner, until the proxy closes; what the far end sees is the same.
type conn struct {
	duplex
	link  *link
	owner *live // nil on a direct path
	used  atomic.Bool

	mu      sync.Mutex
	ended   error // what Read and Write answer from now on
	reading int
	idle    chan struct{} // closed when ended is set and nobody reads
}

func (c *conn) Read(b []byte) (int, error) {
	if err := c.begin(); err != nil {
		return 0, c.wrap("read", err)
	}
	n, err := c.duplex.Read(b)
	if n > 0 {
		c.link.replies.Add(int64(n))
		c.touch()
	}
	if ended := c.finish(); ended != nil && err != nil {
		return n, c.wrap("read", ended)
	}
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.duplex.Write(b)
	if n > 0 {
		c.link.requests.Add(int64(n))
		c.touch()
	}
	if err == nil {
		return n, nil
	}
	c.mu.Lock()
	ended := c.ended
	c.mu.Unlock()
	if ended != nil {
		return n, c.wrap("write", ended)
	}
	return n, err
}

// ReadFrom and WriteTo hide what the duplex has of them, which would move bytes uncounted.

func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r)
}

func (c *conn) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{c})
}

// Alive says whether an idle connection has not been closed from the far side. Bytes that nobody
// asked for make a connection unusable too. It waits for nothing.
func (c *conn) Alive() bool {
	c.mu.Lock()
	ended := c.ended
	c.mu.Unlock()
	if ended != nil {
		return false
	}
	switch s := c.duplex.(type) {
	case interface{ Alive() bool }:
		return s.Alive()
	case syscall.Conn:
		return aliveSocket(s)
	}
	return true
}

// Close ends the connection. A proxied one is seen off in the background.
func (c *conn) Close() error {
	if !c.end(net.ErrClosed) {
		return nil
	}
	if c.owner == nil {
		return c.duplex.Close()
	}
	c.leave()
	return nil
}

// reset ends the connection as if its far end had sent RST; the owner has yet to close it.
func (c *conn) reset() {
	if c.end(syscall.ECONNRESET) {
		c.leave()
	}
}

// leave ends the sending side and reads on until the proxy closes.
func (c *conn) leave() {
	c.duplex.SetDeadline(time.Unix(1, 0))
	c.duplex.CloseWrite()
	off := c.owner.background(func() {
		<-c.idle
		c.duplex.SetReadDeadline(time.Time{})
		io.Copy(io.Discard, struct{ io.Reader }{c.duplex})
		c.duplex.Close()
		c.owner.remove(c)
	})
	if !off {
		c.duplex.Close()
	}
}

// SetDeadline and SetReadDeadline do nothing once the connection has ended: the time is then its
// own.

func (c *conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return c.wrap("set", c.ended)
	}
	return c.duplex.SetDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return c.wrap("set", c.ended)
	}
	return c.duplex.SetReadDeadline(t)
}

// end makes Read and Write answer err from now on; false when the connection had ended before.
func (c *conn) end(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		// A reset connection is closed by its owner later; both ask for the same.
		return false
	}
	c.ended = err
	if c.reading == 0 {
		close(c.idle)
	}
	return true
}

func (c *conn) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return c.ended
	}
	c.reading++
	return nil
}

func (c *conn) finish() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading--
	if c.ended != nil && c.reading == 0 {
		close(c.idle)
	}
	return c.ended
}

// touch remembers that bytes have gone over the connection.
func (c *conn) touch() {
	if !c.used.Load() {
		c.used.Store(true)
	}
}

func (c *conn) wrap(op string, err error) error {
	if errors.Is(err, syscall.ECONNRESET) {
		err = os.NewSyscallError(op, err)
	}
	return &net.OpError{
		Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err,
	}
}

// newConn begins the connection of a dialler; a nil owner makes a direct one. The fabric may have
// been closed since it was dialled.
func newConn(l *link, s duplex, owner *live) (*conn, error) {
	c := &conn{duplex: s, link: l, owner: owner, idle: make(chan struct{})}
	if owner != nil && !owner.add(c) {
		s.Close()
		return nil, errClosed
	}
	return c, nil
}

var _ interface {
	net.Conn
	CloseWrite() error
	Alive() bool
} = (*conn)(nil)
