package kafka

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/findcoordinator"
	"github.com/segmentio/kafka-go/protocol/offsetcommit"
	"github.com/segmentio/kafka-go/protocol/offsetfetch"
)

// routes is the library's transport, and knows the coordinators of groups. The library itself asks
// for the coordinator before each request that goes to one.
type routes struct {
	*kafka.Transport
	coordinators sync.Map // group to the id of the broker that keeps it, an int32
}

// RoundTrip sends a request to where it belongs and returns its answer.
func (r *routes) RoundTrip(
	ctx context.Context, addr net.Addr, req kafka.Request,
) (kafka.Response, error) {
	switch m := req.(type) {
	case *offsetcommit.Request:
		return r.toCoordinator(ctx, addr, m.GroupID, req)
	case *offsetfetch.Request:
		return r.toCoordinator(ctx, addr, m.GroupID, req)
	}
	return r.Transport.RoundTrip(ctx, addr, req)
}

// toCoordinator sends a request to a group's coordinator. After an error, and after an answer that
// has one in it, the next request asks again who that is.
func (r *routes) toCoordinator(
	ctx context.Context, addr net.Addr, group string, req kafka.Request,
) (kafka.Response, error) {
	id, err := r.coordinator(ctx, addr, group)
	if err != nil {
		return nil, err
	}
	answer, err := r.Transport.RoundTrip(ctx, addr, &addressed{
		Message: req, broker: id, client: r.ClientID,
	})
	if err != nil || refused(answer) {
		r.coordinators.CompareAndDelete(group, id)
	}
	return answer, err
}

// coordinator is the id of the broker that keeps a group.
func (r *routes) coordinator(ctx context.Context, addr net.Addr, group string) (int32, error) {
	if id, ok := r.coordinators.Load(group); ok {
		return id.(int32), nil
	}
	answer, err := r.Transport.RoundTrip(ctx, addr, &findcoordinator.Request{Key: group})
	if err != nil {
		return 0, err
	}
	found := answer.(*findcoordinator.Response)
	if found.ErrorCode != 0 {
		return 0, fmt.Errorf("find coordinator of group %q: %w", group, kafka.Error(found.ErrorCode))
	}
	r.coordinators.Store(group, found.NodeID)
	return found.NodeID, nil
}

// refused says that an answer has an error in it.
func refused(answer kafka.Response) bool {
	switch a := answer.(type) {
	case *offsetcommit.Response:
		for _, t := range a.Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 {
					return true
				}
			}
		}
	case *offsetfetch.Response:
		for _, t := range a.Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 {
					return true
				}
			}
		}
		return a.ErrorCode != 0
	}
	return false
}

// addressed is a request to one broker, whatever the library would choose. It is exchanged as the
// library exchanges others: the first of the interfaces is how it asks for the broker, the second
// one how it leaves the exchange to a message.
type addressed struct {
	protocol.Message
	broker  int32
	client  string
	version int16 // of the request, set once the connection is known
}

func (a *addressed) Broker(protocol.Cluster) (protocol.Broker, error) {
	return protocol.Broker{ID: a.broker}, nil
}

func (a *addressed) Required(versions map[protocol.ApiKey]int16) bool {
	a.version = versions[a.ApiKey()]
	return true
}

// RawExchange needs no number that tells its answer from others: a connection of the library's
// transport carries one request at a time.
func (a *addressed) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	return protocol.RoundTrip(rw, a.version, 0, a.client, a.Message)
}

var (
	_ kafka.RoundTripper     = (*routes)(nil)
	_ protocol.BrokerMessage = (*addressed)(nil)
	_ protocol.RawExchanger  = (*addressed)(nil)
)
