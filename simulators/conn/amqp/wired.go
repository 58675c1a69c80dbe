package amqp

import (
	"time"

	"github.com/faultline-sim/faultline/simulators/conn/dialed"
)

// silence is how long a connection may bring nothing before it counts as lost. The broker sends a
// heartbeat each half of the interval, so this is three of them.
const silence = 3 * heartbeat / 2

// wired is a connection that ends as soon as a read fails. The library would first wait for a
// writer that hangs in the same broken connection, and for ever.
type wired struct {
	*dialed.Conn
}

// Read gives each read its own limit: the library renews its limit only while it is not writing.
func (w *wired) Read(b []byte) (int, error) {
	_ = w.Conn.SetReadDeadline(time.Now().Add(silence)) // fails where Read does too
	n, err := w.Conn.Read(b)
	if err != nil {
		w.Conn.Conn.Close() // its owner has yet to let go of it
	}
	return n, err
}

// SetReadDeadline does nothing: Read has its own.
func (w *wired) SetReadDeadline(time.Time) error { return nil }

// SetDeadline does nothing: whoever must not wait closes the connection.
func (w *wired) SetDeadline(time.Time) error { return nil }
