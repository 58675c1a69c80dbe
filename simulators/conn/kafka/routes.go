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
	"github.com/segmentio/kafka-go/protocol/listoffsets"
	"github.com/segmentio/kafka-go/protocol/offsetcommit"
	"github.com/segmentio/kafka-go/protocol/offsetfetch"
)

// routes is the library's transport with fewer requests. It knows the coordinators of groups, where
// the library asks for the coordinator before each request that goes to one; and it asks a leader for
// the offsets of all its partitions at once, where the library sends a request for each.
type routes struct {
	*kafka.Transport
	coordinators sync.Map // group to the id of the broker that keeps it, an int32
}

// RoundTrip sends a request to where it belongs and returns its answer.
func (r *routes) RoundTrip(
	ctx context.Context, addr net.Addr, req kafka.Request,
) (kafka.Response, error) {
	switch m := req.(type) {
	case *listoffsets.Request:
		req = byLeader{m}
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

// byLeader is a request for offsets that is sent in as few parts as can be.
type byLeader struct{ *listoffsets.Request }

// part is what one request may ask for: of one leader, and of a partition only once.
type part struct{ leader, nth int32 }

// Split makes a request for each leader, and a further one for what is asked of a partition beside.
// A partition without a known leader gets a request of its own: its answer says what is wrong.
func (b byLeader) Split(known protocol.Cluster) ([]protocol.Message, protocol.Merger, error) {
	var messages []protocol.Message
	parts := map[part]*listoffsets.Request{}
	for _, t := range b.Topics {
		nth := map[int32]int32{}
		for _, p := range t.Partitions {
			to := part{leader: -1, nth: int32(len(messages))}
			if found, ok := known.Topics[t.Topic].Partitions[p.Partition]; ok {
				to = part{leader: found.Leader, nth: nth[p.Partition]}
				nth[p.Partition]++
			}
			if parts[to] == nil {
				parts[to] = &listoffsets.Request{
					ReplicaID: b.ReplicaID, IsolationLevel: b.IsolationLevel,
				}
				messages = append(messages, parts[to])
			}
			ask(parts[to], t.Topic, p)
		}
	}
	return messages, new(listoffsets.Response), nil
}

// ask adds a partition to a request.
func ask(r *listoffsets.Request, topic string, p listoffsets.RequestPartition) {
	last := len(r.Topics) - 1
	if last < 0 || r.Topics[last].Topic != topic {
		r.Topics = append(r.Topics, listoffsets.RequestTopic{Topic: topic})
		last++
	}
	r.Topics[last].Partitions = append(r.Topics[last].Partitions, p)
}

var (
	_ kafka.RoundTripper     = (*routes)(nil)
	_ protocol.Splitter      = byLeader{}
	_ protocol.BrokerMessage = (*addressed)(nil)
	_ protocol.RawExchanger  = (*addressed)(nil)
)
