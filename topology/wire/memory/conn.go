// Package memory is connections within this process: what TCP on loopback does, without a socket.
//
// It serves the fabric in the run step of load → plan → run → check → report. Bytes of one direction
// wait in a ring of bounded size, so a writer whose reader stands still is held up, as by a kernel's
// buffers. Ends close in order (what was sent is read, then io.EOF), in halves, or abruptly (both
// ends meet a reset, what was not read is lost). Every wait is on a condition variable, never on a
// mutex, so that a connection lives in virtual time (testing/synctest) as in real time. It imports
// nothing but the standard library.
package memory

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is one end of a connection. It is safe for concurrent use as a net.Conn is.
type Conn struct {
	in, out       *ring
	local, remote net.Addr
	abrupt        atomic.Bool // Close resets
}

// Pair is a connection: what one end writes the other one reads at once.
func Pair(local, remote net.Addr) (near, far *Conn) { return SlowPair(local, remote, nil, nil) }

// Takes is how long bytes take that are written at once; for none it is the end of a direction.
type Takes func(written []byte) time.Duration

// SlowPair is a connection whose bytes take their time, from near to far and back, nil for none. They
// stay in order. A reset comes at once.
func SlowPair(local, remote net.Addr, takes, back Takes) (near, far *Conn) {
	there, answers := newRing(takes), newRing(back)
	near = &Conn{in: answers, out: there, local: local, remote: remote}
	far = &Conn{in: there, out: answers, local: remote, remote: local}
	return near, far
}

// Read reads what has come, and waits for it.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	return n, c.wrap("read", err)
}

// Write writes all of b and waits for room.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.out.write(b)
	return n, c.wrap("write", err)
}

// WriteTo hands on what comes until the other end closes, without a buffer of its own, in pieces of
// at most PieceMost.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		piece, err := c.in.peek(PieceMost)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, c.wrap("read", err)
		}
		n, err := w.Write(piece)
		c.in.discard(n)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

// PieceMost is how many bytes WriteTo hands on at a time, at most.
const PieceMost = 8 << 10

// Close ends both directions: the other end reads what was sent, then io.EOF, and what it writes is
// an error. With bytes that were not read, or after SetLinger(0), it resets, as TCP does.
func (c *Conn) Close() error {
	if c.abrupt.Load() {
		return c.Abort()
	}
	c.out.finish(net.ErrClosed)
	c.in.leave()
	return nil
}

// CloseWrite ends the direction away from this end; it goes on reading.
func (c *Conn) CloseWrite() error {
	c.out.finish(syscall.EPIPE)
	return nil
}

// Abort ends both directions at once: what is under way is lost, and the other end meets a reset.
func (c *Conn) Abort() error {
	c.out.reset(net.ErrClosed, syscall.ECONNRESET)
	c.in.reset(syscall.ECONNRESET, net.ErrClosed)
	return nil
}

// SetLinger with 0 makes Close abort, as it does of a net.TCPConn.
func (c *Conn) SetLinger(sec int) error {
	c.abrupt.Store(sec == 0)
	return nil
}

// Alive says whether an idle connection may be used: the other end has not closed it, and has sent
// nothing. It waits for nothing.
func (c *Conn) Alive() bool { return c.in.idle() && c.out.open() }

// LocalAddr is this end's address.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the other end's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline bounds Read and Write.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline bounds Read, also one that waits already. The zero time is none.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.wrap("set", c.in.readBy(t))
}

// SetWriteDeadline bounds Write, also one that waits already. The zero time is none.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.wrap("set", c.out.writeBy(t))
}

// wrap is an error as one of a TCP connection looks.
func (c *Conn) wrap(op string, err error) error {
	switch {
	case err == nil || err == io.EOF:
		return err
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		err = os.NewSyscallError(op, err)
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

var _ interface {
	net.Conn
	io.WriterTo
} = (*Conn)(nil)
