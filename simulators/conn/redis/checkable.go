package redis

import (
	"net"
	"syscall"

	"github.com/faultline-sim/faultline/simulators/conn/dialed"
)

// checkable lets the pool see that a connection was closed while it was idle. The pool asks for the
// descriptor and looks at it by itself; here the connection answers, whatever carries it.
type checkable struct{ *dialed.Conn }

// SyscallConn is the connection as one whose descriptor can be looked at.
func (c checkable) SyscallConn() (syscall.RawConn, error) { return look{c.Conn}, nil }

// look is what the pool looks at: Read fails where the connection may not be used again.
type look struct{ conn net.Conn }

func (l look) Read(func(fd uintptr) bool) error {
	if !dialed.Alive(l.conn) {
		return net.ErrClosed
	}
	return nil
}

func (l look) Write(func(fd uintptr) bool) error { return syscall.ENOTSUP }
func (l look) Control(func(fd uintptr)) error    { return syscall.ENOTSUP }
