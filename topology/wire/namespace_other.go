//go:build !linux

package wire

import (
	"context"
	"errors"
	"net"
)

var errNoNamespaces = errors.New("networks of other processes can be entered on Linux only")

// Listen is not possible here.
func (n Namespace) Listen(context.Context, string) (net.Listener, error) {
	return nil, errNoNamespaces
}

// Dial is not possible here.
func (n Namespace) Dial(context.Context, string) (net.Conn, error) { return nil, errNoNamespaces }
