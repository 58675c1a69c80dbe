//go:build !linux

package wire

import (
	"fmt"
	"io"
	"net"
)

// claimPort only finds out that a port is free: other kernels do not let a listener bind beside a
// claim. Another process may take the port until its owner listens; then Listen says so.
func claimPort(port int) (io.Closer, error) {
	ln, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	return nothing{}, ln.Close()
}

type nothing struct{}

func (nothing) Close() error { return nil }
