package wire

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// claimPort holds a port by a socket that is bound and never listens. It binds without
// SO_REUSEADDR, which fails when any other socket has the port, a claim of another process
// included; and sets the option afterwards, which lets whoever sets it too (Go's listeners, and
// those of most servers) bind and listen beside the claim.
func claimPort(port int) (io.Closer, error) {
	kind := syscall.SOCK_STREAM | syscall.SOCK_CLOEXEC | syscall.SOCK_NONBLOCK
	fd, err := syscall.Socket(syscall.AF_INET, kind, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	held := os.NewFile(uintptr(fd), "port claim")
	at := &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
	if err := syscall.Bind(fd, at); err != nil {
		held.Close()
		return nil, fmt.Errorf("bind 127.0.0.1:%d: %w", port, err)
	}
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		held.Close()
		return nil, fmt.Errorf("share 127.0.0.1:%d: %w", port, err)
	}
	return held, nil
}
