package mqtt

import (
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	// mostPending is how many bytes may wait for a slow client before it is disconnected, in
	// bytes. Its session keeps the messages.
	mostPending = 64 << 20
	// keepBuffer is the largest buffer an idle connection holds on to, in bytes.
	keepBuffer = 64 << 10
	// lastWords is how long a closed connection may take to send what was written before.
	lastWords = 250 * time.Millisecond
)

// conn is a connection that never makes its writer wait: bytes wait in memory and are sent by a
// goroutine that lives as long as there are any. So routing a message costs the same whether its
// subscriber reads or stalls.
type conn struct {
	net.Conn
	senders *sync.WaitGroup
	unlock  func() // set while the connection holds the router's takeover lock

	mu      sync.Mutex
	pending []byte
	spare   []byte
	sending bool
	closed  bool
	err     error
}

func newConn(c net.Conn, senders *sync.WaitGroup) *conn {
	return &conn{Conn: c, senders: senders}
}

// Write takes the bytes. An error is that of an earlier write.
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return 0, c.err
	case c.closed:
		return 0, net.ErrClosed
	case len(c.pending)+len(p) > mostPending:
		c.err = fmt.Errorf("write to client: more than %d bytes wait", mostPending)
		c.Conn.Close()
		return 0, c.err
	}
	c.pending = append(c.pending, p...)
	if !c.sending {
		c.sending = true
		c.senders.Go(c.send)
	}
	return len(p), nil
}

// send writes what waits until nothing does.
func (c *conn) send() {
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

// take is the next bytes to write, nil when there are none.
func (c *conn) take() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) == 0 || c.err != nil {
		c.sending = false
		if c.closed {
			c.Conn.Close()
		}
		return nil
	}
	batch := c.pending
	c.pending = c.spare[:0]
	c.spare = batch
	if cap(batch) > keepBuffer {
		c.spare = nil
	}
	return batch
}

func (c *conn) fail(err error) {
	c.mu.Lock()
	c.err, c.pending, c.spare, c.sending = err, nil, nil, false
	c.mu.Unlock()
	c.Conn.Close()
}

// Close ends reading at once and the connection when what was written is sent.
func (c *conn) Close() error {
	c.mu.Lock()
	first, sending := !c.closed, c.sending
	c.closed = true
	c.mu.Unlock()
	if !first {
		return nil
	}
	if !sending {
		return c.Conn.Close()
	}
	now := time.Now()
	_ = c.Conn.SetReadDeadline(now) // a connection already gone has no use for deadlines
	_ = c.Conn.SetWriteDeadline(now.Add(lastWords))
	return nil
}

// SetDeadline is the keep-alive's: it is for reading only, because writes wait for nobody.
func (c *conn) SetDeadline(t time.Time) error { return c.Conn.SetReadDeadline(t) }

// release gives the takeover lock back if the connection has it. It is called by the goroutine
// that serves the connection, as is the taking.
func (c *conn) release() {
	if c.unlock != nil {
		c.unlock()
		c.unlock = nil
	}
}
