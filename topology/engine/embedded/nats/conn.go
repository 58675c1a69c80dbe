package nats

import (
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	// mostPending is how many bytes may wait for a slow client before it is disconnected: the
	// server's own bound (MaxPending).
	mostPending = 64 << 20
	// keepBuffer is the largest buffer an idle connection holds on to, in bytes.
	keepBuffer = 64 << 10
	// lastWords is how long a closed connection may take to send what was written before.
	lastWords = 250 * time.Millisecond
)

// conn is a connection that never makes its writer wait: bytes wait in memory until a goroutine of
// its own has sent them. While one goroutine of the server waits in Write another one turns in
// circles until that is done, which in virtual time is for ever.
type conn struct {
	net.Conn

	mu      sync.Mutex
	change  sync.Cond // something waits to be sent, or the end has come
	pending []byte
	spare   []byte
	closed  bool
	err     error // of a write; nothing is sent any more
}

// newConn begins one. Its goroutine ends with the connection, and senders wait for it.
func newConn(c net.Conn, senders *sync.WaitGroup) *conn {
	made := &conn{Conn: c}
	made.change.L = &made.mu
	senders.Go(made.send)
	return made
}

// Write takes the bytes. An error is that of an earlier write.
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && len(c.pending)+len(p) > mostPending {
		c.err = fmt.Errorf("write to client: more than %d bytes wait", mostPending)
		c.Conn.Close() // else its goroutine may wait in it
	}
	switch {
	case c.err != nil:
		return 0, c.err
	case c.closed:
		return 0, net.ErrClosed
	}
	c.pending = append(c.pending, p...)
	c.change.Signal()
	return len(p), nil
}

// send writes what waits, until an error or the end.
func (c *conn) send() {
	defer c.Conn.Close()
	for {
		batch := c.take()
		if batch == nil {
			return
		}
		if _, err := c.Conn.Write(batch); err != nil {
			c.fail(err)
			return
		}
	}
}

// take waits for the next bytes to write; nil is the end.
func (c *conn) take() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pending) == 0 && !c.closed && c.err == nil {
		c.change.Wait()
	}
	if len(c.pending) == 0 || c.err != nil {
		return nil
	}
	batch := c.pending
	c.pending, c.spare = c.spare[:0], batch
	if cap(batch) > keepBuffer {
		c.spare = nil
	}
	return batch
}

func (c *conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err, c.pending, c.spare = err, nil, nil
}

// Close ends reading at once, and the connection when what was written is sent.
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	c.change.Signal()
	now := time.Now()
	// A connection already gone has no use for deadlines.
	_ = c.Conn.SetReadDeadline(now)
	_ = c.Conn.SetWriteDeadline(now.Add(lastWords))
	return nil
}

// SetDeadline is for reading only, because writes wait for nobody.
func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline does nothing once the connection is closed.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline has nothing to bound.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
