package dialed

import "net"

// Alive says whether an idle connection has not been closed from the far side, as far as its
// fabric can tell. It waits for nothing.
func Alive(c net.Conn) bool {
	if counted, ok := c.(*Conn); ok {
		c = counted.Conn
	}
	known, ok := c.(interface{ Alive() bool })
	return !ok || known.Alive()
}
