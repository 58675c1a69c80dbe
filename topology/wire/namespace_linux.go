package wire

import (
	"context"
	"fmt"
	"net"
	"runtime"

	"golang.org/x/sys/unix"
)

// within does something that opens a socket in the network of a process. The thread that enters it
// is not used for anything else: it ends with its goroutine.
func (n Namespace) within(do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- n.enter(do)
	}()
	return <-done
}

func (n Namespace) enter(do func() error) error {
	path := fmt.Sprintf("/proc/%d/ns/net", n.PID)
	space, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open network of process %d: %w", n.PID, err)
	}
	defer unix.Close(space)
	if err := unix.Setns(space, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network of process %d: %w", n.PID, err)
	}
	return do()
}

// Listen opens a listener in the network. It is served from here like any other.
func (n Namespace) Listen(ctx context.Context, addr string) (l net.Listener, err error) {
	err = n.within(func() error {
		var config net.ListenConfig
		l, err = config.Listen(ctx, "tcp4", addr)
		return err
	})
	return l, err
}

// Dial connects to an address in the network.
func (n Namespace) Dial(ctx context.Context, addr string) (c net.Conn, err error) {
	err = n.within(func() error {
		dial := net.Dialer{KeepAlive: -1}
		c, err = dial.DialContext(ctx, "tcp4", addr)
		return err
	})
	return c, err
}
