package postgres

import (
	"bufio"
	"net"
)

// writeBuffer is how much of an answer is gathered before it is sent, in bytes.
const writeBuffer = 16 << 10

// gathering is a listener whose connections gather what is written to them.
type gathering struct{ net.Listener }

// Accept gives the next connection.
func (g gathering) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &gatherConn{Conn: c, out: bufio.NewWriterSize(c, writeBuffer)}, nil
}

// gatherConn sends what was written when the server goes back to reading: an answer of five
// protocol messages is then one packet rather than five. The server writes and reads in one
// goroutine.
type gatherConn struct {
	net.Conn
	out *bufio.Writer
}

// Write gathers.
func (c *gatherConn) Write(b []byte) (int, error) { return c.out.Write(b) }

// Read sends what was gathered, then reads.
func (c *gatherConn) Read(b []byte) (int, error) {
	if c.out.Buffered() > 0 {
		if err := c.out.Flush(); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(b)
}

// Close sends what was gathered, then closes. A failed send is the client's loss, which the close
// tells it.
func (c *gatherConn) Close() error {
	c.out.Flush()
	return c.Conn.Close()
}
