package stack

import (
	"context"
	"net"
	"strconv"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/wire"
)

// host is the fabric as one node's engine sees it.
type host struct {
	fabric wire.Fabric
	node   string
}

var _ engine.Host = host{}

// Listen opens the listener of one of the node's replicas.
func (h host) Listen(replica int) (net.Listener, error) { return h.fabric.Listen(h.node, replica) }

// Announce tells where a replica listens.
func (h host) Announce(replica int, addr string) error {
	return h.fabric.Announce(h.node, replica, addr)
}

// Port reserves an address for a replica.
func (h host) Port(replica int) (int, error) { return h.fabric.Port(h.node, replica) }

// Dial goes the way of the audit, which has no proxy, to a name of its own for the node: what has
// not been announced can be asked already, and nobody else is led there.
func (h host) Dial(ctx context.Context, replica int) (net.Conn, error) {
	port, err := h.Port(replica)
	if err != nil {
		return nil, err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	own := wire.AuditFrom + " " + h.node
	if err := h.fabric.Announce(own, replica, addr); err != nil {
		return nil, err
	}
	d := h.fabric.Dialer(topology.Wire{From: wire.AuditFrom, To: own}, 0)
	return d.DialAddr(ctx, "tcp", addr)
}
