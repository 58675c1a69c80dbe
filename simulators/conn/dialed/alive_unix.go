//go:build unix

package dialed

import (
	"errors"
	"net"
	"syscall"
)

// Alive says whether an idle connection has not been closed from the far side. It looks at what
// the kernel already knows and waits for nothing. Bytes that nobody asked for make a connection
// unusable too. A connection without a descriptor counts as alive.
func Alive(c net.Conn) bool {
	if counted, ok := c.(*Conn); ok {
		c = counted.Conn
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	alive := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		alive = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err == nil && alive
}
