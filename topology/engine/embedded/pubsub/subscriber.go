package pubsub

import (
	"context"
	"slices"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// longPoll is how long a pull that finds nothing waits.
const longPoll = 500 * time.Millisecond

// CreateSubscription makes a subscription; it gets what is published from then on.
func (s *server) CreateSubscription(_ context.Context, sub *pb.Subscription) (
	*pb.Subscription, error,
) {
	if err := checkSubscription(sub); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.subs[sub.Name] != nil {
		return nil, status.Errorf(codes.AlreadyExists, "subscription %q", sub.Name)
	}
	t, err := s.topic(sub.Topic)
	if err != nil {
		return nil, err
	}
	if p := sub.DeadLetterPolicy; p != nil {
		if _, err := s.topic(p.DeadLetterTopic); err != nil {
			return nil, err
		}
	}
	sub.State = pb.Subscription_ACTIVE
	s.subs[sub.Name] = newSubscription(sub)
	t.subs = append(t.subs, s.subs[sub.Name])
	return sub, nil
}

// GetSubscription tells a subscription's settings.
func (s *server) GetSubscription(_ context.Context, req *pb.GetSubscriptionRequest) (
	*pb.Subscription, error,
) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub, err := s.subscription(req.Subscription)
	if err != nil {
		return nil, err
	}
	return sub.proto, nil
}

// subscription finds a subscription; the lock is held.
func (s *server) subscription(name string) (*subscription, error) {
	if sub := s.subs[name]; sub != nil {
		return sub, nil
	}
	return nil, status.Errorf(codes.NotFound, "subscription %q", name)
}

// DeleteSubscription forgets a subscription and what it has.
func (s *server) DeleteSubscription(_ context.Context, req *pb.DeleteSubscriptionRequest) (
	*emptypb.Empty, error,
) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub, err := s.subscription(req.Subscription)
	if err != nil {
		return nil, err
	}
	delete(s.subs, req.Subscription)
	if t := s.topics[sub.proto.Topic]; t != nil {
		t.subs = slices.DeleteFunc(t.subs, func(other *subscription) bool { return other == sub })
	}
	return &emptypb.Empty{}, nil
}

// Acknowledge forgets messages. An ack id that is no longer good is passed over.
func (s *server) Acknowledge(_ context.Context, req *pb.AcknowledgeRequest) (
	*emptypb.Empty, error,
) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub, err := s.subscription(req.Subscription)
	if err != nil {
		return nil, err
	}
	sub.acknowledge(req.AckIds)
	return &emptypb.Empty{}, nil
}

func (s *subscription) acknowledge(ackIDs []string) {
	for _, ackID := range ackIDs {
		if it := s.delivered(ackID); it != nil {
			s.remove(it)
		}
	}
}

// ModifyAckDeadline leases messages for a time from now on; 0 seconds gives them back. A delivery
// that is over, by its deadline or given back, is passed over.
func (s *server) ModifyAckDeadline(_ context.Context, req *pb.ModifyAckDeadlineRequest) (
	*emptypb.Empty, error,
) {
	if n := req.AckDeadlineSeconds; n < 0 || n > mostDeadline {
		return nil, invalid("an ack deadline of %d s: 0 to %d", n, mostDeadline)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sub, err := s.subscription(req.Subscription)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	for _, ackID := range req.AckIds {
		s.modify(sub, ackID, req.AckDeadlineSeconds, now)
	}
	return &emptypb.Empty{}, nil
}

// modify changes one deadline; the lock is held.
func (s *server) modify(sub *subscription, ackID string, seconds int32, now time.Time) {
	it := sub.delivered(ackID)
	switch {
	case it == nil || it.in != &sub.leased:
	case seconds > 0:
		sub.lease(it, now.Add(time.Duration(seconds)*time.Second))
	default:
		s.lapse(sub, it, now)
	}
}

// Pull gives messages out as soon as there are any, or none after a while.
func (s *server) Pull(ctx context.Context, req *pb.PullRequest) (*pb.PullResponse, error) {
	most := int(req.MaxMessages)
	if most < 1 {
		return nil, invalid("at most %d messages: at least 1", most)
	}
	hold := longPoll
	if req.ReturnImmediately { //nolint:staticcheck // deprecated, and still served
		hold = 0
	}
	_, messages, err := s.await(ctx, req.Subscription, claim{most: min(most, mostPulled)}, hold)
	if err != nil {
		return nil, err
	}
	return &pb.PullResponse{ReceivedMessages: messages}, nil
}

// claim is what a pull wants.
type claim struct {
	most  int
	lease time.Duration // 0 is the subscription's
}

// await takes messages, waiting for the first one.
func (s *server) await(ctx context.Context, name string, c claim, hold time.Duration) (
	[]*item, []*pb.ReceivedMessage, error,
) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for until := time.Now().Add(hold); ; {
		g, err := s.grant(name, c)
		left := time.Until(until)
		switch {
		case err != nil:
			return nil, nil, err
		case len(g.items) > 0 && ctx.Err() != nil:
			s.unsent(name, g.items)
			return nil, nil, status.FromContextError(ctx.Err()).Err()
		case len(g.items) > 0, left <= 0:
			return g.items, g.messages, nil
		}
		if !g.next.IsZero() {
			left = min(left, max(time.Until(g.next), time.Millisecond))
		}
		timer.Reset(left)
		select {
		case <-g.grown:
		case <-timer.C:
		case <-g.quit:
			return nil, nil, status.Error(codes.Unavailable, "the server is being stopped")
		case <-ctx.Done():
			return nil, nil, status.FromContextError(ctx.Err()).Err()
		}
	}
}

// grant is what a claim got, and what to wait for if that is nothing.
type grant struct {
	items    []*item
	messages []*pb.ReceivedMessage
	grown    <-chan struct{}
	next     time.Time // when the next deadline passes, in any subscription
	quit     <-chan struct{}
}

func (s *server) grant(name string, c claim) (grant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub, err := s.subscription(name)
	if err != nil {
		return grant{}, err
	}
	if c.lease == 0 {
		c.lease = time.Duration(sub.proto.AckDeadlineSeconds) * time.Second
	}
	now := time.Now()
	g := grant{next: s.sweep(now), quit: s.quit}
	g.items = sub.take(now, c.most, c.lease)
	for _, it := range g.items {
		g.messages = append(g.messages, sub.received(it))
	}
	if len(g.items) == 0 {
		g.grown = sub.awaits()
	}
	return g, nil
}

// unsent takes a delivery back that was not sent, as if it had not been.
func (s *server) unsent(name string, items []*item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub, err := s.subscription(name)
	if err != nil {
		return
	}
	for _, it := range items {
		if it.in == &sub.leased {
			it.attempt--
			sub.offer(it)
		}
	}
}
