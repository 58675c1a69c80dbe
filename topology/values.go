package topology

import (
	"time"

	"github.com/faultline-sim/faultline/topology/policy"
)

// What holds where a topology declares nothing. Beside these: a fleet has 1 member, clouds and
// services 1 replica, brokers 1 cluster node; a handler runs one delivery at a time in each
// replica, keeps the order of a key and acknowledges after its work; a channel has 6 partitions on
// Kafka and 1 elsewhere; a flow's sinks are the ends of its path lines, unless it is answered
// (reply_within), then there are none.
const (
	DefaultQoS                = 1
	DefaultConcurrency        = 1
	DefaultOrder              = "key"
	DefaultAck                = "after_work"
	DefaultWhenOpen           = "fail"
	DefaultStatus             = 200
	DefaultGuarantee          = AtLeastOnce
	DefaultTable              = "records" // of store and lookup steps
	DefaultDeadLetterAttempts = 5
	DefaultParallel           = 1
	DefaultKeepAlive          = 30 * time.Second
	DefaultInflight           = 100
)

// DefaultReconnect is the pause between two tries to connect: 100ms, doubled up to 5s, spread by
// half.
func DefaultReconnect() policy.Backoff {
	return policy.Backoff{
		Initial: 100 * time.Millisecond, Factor: 2, Max: 5 * time.Second, Jitter: 0.5,
	}
}

// newNode is a node with the defaults that a declaration may change to zero.
func newNode(name string, kind Kind) *Node {
	n := &Node{Name: name, Kind: kind}
	if kind == Fleet || kind == Cloud || kind == Service {
		n.Session = Session{
			KeepAlive: DefaultKeepAlive, Reconnect: DefaultReconnect(), Inflight: DefaultInflight,
		}
	}
	return n
}

// fillNode sets what is left at zero.
func fillNode(n *Node) {
	switch n.Kind {
	case Fleet:
		n.Count = max(1, n.Count)
	case Cloud, Service:
		n.Replicas = max(1, n.Replicas)
	case Broker:
		n.Brokers = max(1, n.Brokers)
	}
	for _, h := range n.Handlers {
		fillHandler(h)
	}
}

func fillHandler(h *Handler) {
	h.Concurrency = max(DefaultConcurrency, h.Concurrency)
	if h.Order == "" {
		h.Order = DefaultOrder
	}
	if h.Ack == "" {
		h.Ack = DefaultAck
	}
	for s := range h.Steps() {
		if (s.Kind == StoreStep || s.Kind == Lookup) && s.Path == "" {
			s.Path = DefaultTable
		}
		if s.Kind == Request && s.ReplyTo == "" && s.Target != "" {
			s.ReplyTo = ReplyChannel(s.Target)
		}
	}
}
