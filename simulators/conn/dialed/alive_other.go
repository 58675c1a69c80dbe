//go:build !unix

package dialed

import "net"

// Alive cannot tell on this system; a connection that was closed is then met by its next use.
func Alive(net.Conn) bool { return true }
