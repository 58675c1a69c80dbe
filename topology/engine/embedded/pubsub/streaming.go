package pubsub

import (
	"context"
	"errors"
	"io"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

// stream is one streaming pull, as Google's own client libraries consume.
type stream struct {
	server *server
	over   pb.Subscriber_StreamingPullServer
	name   string // of the subscription
	most   int    // unsettled at once, at most
	lease  time.Duration
	out    map[string]*item // by ack id: given out over this stream, perhaps settled since
}

// StreamingPull gives messages out as long as the stream lasts. The deadline for the stream is the
// one that it begins with.
func (s *server) StreamingPull(over pb.Subscriber_StreamingPullServer) error {
	first, err := over.Recv()
	if err != nil {
		return err
	}
	lease := first.StreamAckDeadlineSeconds
	if lease < leastDeadline || lease > mostDeadline {
		return invalid("a stream ack deadline of %d s: %d to %d", lease, leastDeadline, mostDeadline)
	}
	st := &stream{
		server: s, over: over, name: first.Subscription, most: int(first.MaxOutstandingMessages),
		lease: time.Duration(lease) * time.Second, out: map[string]*item{},
	}
	if st.most <= 0 {
		st.most = mostPulled
	}
	heard := make(chan error, 1)
	ctx, cancel := context.WithCancel(over.Context())
	defer cancel()
	go func() { // ends with the stream
		heard <- st.hear(first)
		cancel()
	}()
	err = st.speak(ctx)
	select {
	case err = <-heard:
	default:
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// hear settles what the client says until it ends.
func (st *stream) hear(req *pb.StreamingPullRequest) error {
	for {
		if len(req.ModifyDeadlineAckIds) != len(req.ModifyDeadlineSeconds) {
			return invalid("%d ack ids with %d deadlines",
				len(req.ModifyDeadlineAckIds), len(req.ModifyDeadlineSeconds))
		}
		if err := st.settle(req); err != nil {
			return err
		}
		var err error
		if req, err = st.over.Recv(); err != nil {
			return err
		}
	}
}

func (st *stream) settle(req *pb.StreamingPullRequest) error {
	s := st.server
	s.mu.Lock()
	defer s.mu.Unlock()
	sub, err := s.subscription(st.name)
	if err != nil {
		return err
	}
	sub.acknowledge(req.AckIds)
	now := time.Now()
	for i, ackID := range req.ModifyDeadlineAckIds {
		s.modify(sub, ackID, req.ModifyDeadlineSeconds[i], now)
	}
	return nil
}

// speak gives messages out until ctx ends. While the client holds as many as it may, it is looked
// at again a moment later.
func (st *stream) speak(ctx context.Context) error {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		room := st.room()
		if room <= 0 {
			select {
			case <-again.C:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		items, messages, err := st.server.await(ctx, st.name, claim{room, st.lease}, longPoll)
		if err != nil {
			return err
		}
		if len(items) == 0 {
			continue
		}
		for i, it := range items {
			st.out[messages[i].AckId] = it
		}
		if err := st.over.Send(&pb.StreamingPullResponse{ReceivedMessages: messages}); err != nil {
			return err
		}
	}
}

// room is how many more messages the client may hold.
func (st *stream) room() int {
	st.server.mu.Lock()
	defer st.server.mu.Unlock()
	sub, err := st.server.subscription(st.name)
	if err != nil {
		return 1 // the next pull says so
	}
	for ackID, it := range st.out {
		if sub.delivered(ackID) != it || it.until.IsZero() {
			delete(st.out, ackID)
		}
	}
	return st.most - len(st.out)
}
