package stack

import (
	"net"

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
