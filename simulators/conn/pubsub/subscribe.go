package pubsub

import (
	"context"
	"fmt"
	"sync"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/faultline-sim/faultline/simulators/conn"
)

const (
	// mostPulled is how many messages one pull brings.
	mostPulled = 1000
	// pullGrace is how long the last pull may take when a subscription ends: one that is broken off
	// may have taken messages, which then stay away for the subscription's whole ack deadline.
	pullGrace = 700 * time.Millisecond
	// grace is how long deliveries in hand may still be settled when a subscription ends, and
	// farewell how long it may take to tell so.
	grace    = 500 * time.Millisecond
	farewell = time.Second
)

// subscription consumes what a group has of a channel.
type subscription struct {
	client *Client
	conn.Subscription
	name    string
	ordered bool
	hand    *hand
}

// Subscribe consumes what a group (the client's own, where none is named) has of a channel, and
// returns when that is known to be there; a group that was not declared has what is published from
// then on. Deliveries come from one goroutine. Of a subscription in order one message of a key is
// with the consumer at a time: the next one comes when it is settled. Ack and Nack return at once,
// and the service is told a moment later, again and again until it has answered. While no broker
// answers Subscribe waits, for a topic that does not exist it does not. When ctx ends, what is not
// settled within half a second is given back.
func (c *Client) Subscribe(ctx context.Context, sub conn.Subscription) error {
	if sub.Group == "" {
		sub.Group = c.cfg.Client
	}
	s := &subscription{
		client: c, Subscription: sub, name: subscriptionName(sub.Channel, sub.Group),
		hand: newHand(sub.Prefetch),
	}
	if err := s.find(ctx); err != nil {
		return fmt.Errorf("subscribe to %q on %s: %w", sub.Channel, c.cfg.Dialer.Wire(), err)
	}
	if _, err := c.life.Stay(ctx, s.run); err != nil {
		return fmt.Errorf("subscribe to %q: %w", sub.Channel, err)
	}
	return nil
}

// find makes sure that the subscription exists and learns whether it keeps order.
func (s *subscription) find(ctx context.Context) error {
	found, err := s.look(ctx)
	if status.Code(err) == codes.NotFound {
		c := s.client
		if err = c.makeSubscription(ctx, s.Channel, s.Group, c.settings(s.Channel)); err == nil {
			found, err = s.look(ctx)
		}
	}
	switch {
	case status.Code(err) == codes.NotFound:
		return fmt.Errorf("%w: no such topic, declare the channel: %w", conn.ErrRefused, err)
	case isRefusal(err):
		return fmt.Errorf("%w: %w", conn.ErrRefused, err)
	case err != nil:
		return err
	}
	s.ordered = found.EnableMessageOrdering
	return nil
}

func (s *subscription) look(ctx context.Context) (*pb.Subscription, error) {
	var found *pb.Subscription
	err := s.client.insist(ctx, func(ctx context.Context) (err error) {
		req := &pb.GetSubscriptionRequest{Subscription: s.name}
		found, err = s.client.subscriber.GetSubscription(ctx, req)
		return err
	})
	return found, err
}

// run consumes until ctx ends or the client is closed, then puts everything back.
func (s *subscription) run(ctx context.Context) {
	keeping, stop := context.WithCancel(s.client.life)
	var keepers sync.WaitGroup
	lease := newLease(keeping, s)
	keepers.Go(func() { s.handOut(ctx) })
	keepers.Go(lease.keep)
	keepers.Go(func() { s.tell(keeping) })
	s.pull(ctx, lease)
	s.hand.stop()
	if !s.client.life.Crashed() {
		s.settled()
		s.hand.abandon()
		s.told()
	}
	stop()
	keepers.Wait()
	lease.under.Wait()
	s.hand.abandon()
	s.hand.untold()
}

// settled gives deliveries in hand a little time.
func (s *subscription) settled() {
	ctx, cancel := context.WithTimeout(s.client.life, grace)
	defer cancel()
	_ = s.hand.wait(ctx, func() bool { return s.hand.out == 0 }) // what is left is given back
}

// told gives the service a little time to hear what was settled.
func (s *subscription) told() {
	ctx, cancel := context.WithTimeout(s.client.life, farewell)
	defer cancel()
	h := s.hand // what it is not told comes back when its lease runs out
	_ = h.wait(ctx, func() bool { return len(h.nacks) == 0 && len(h.held) == 0 })
}

// handOut gives lots to the consumer until ctx ends.
func (s *subscription) handOut(ctx context.Context) {
	for {
		var l *lot
		err := s.hand.wait(ctx, func() bool {
			l = s.hand.next(time.Now())
			return l != nil || s.hand.closed
		})
		if err != nil || l == nil {
			return
		}
		s.Handle(l.delivery)
	}
}

// pull brings messages until ctx ends, starting again after whatever happens. One pull is on its
// way at a time, so that messages of a key arrive in order. What it brings is handed out once its
// short lease has been asked for.
func (s *subscription) pull(ctx context.Context, l *lease) {
	pulling, stop := context.WithCancel(s.client.life)
	defer stop()
	defer context.AfterFunc(ctx, func() { after(pulling, pullGrace, stop) })()
	for failures := 0; ctx.Err() == nil; {
		room, err := s.hand.room(ctx)
		if err != nil {
			return
		}
		begun := time.Now()
		answer, err := s.client.subscriber.Pull(pulling, &pb.PullRequest{
			Subscription: s.name, MaxMessages: int32(min(room, mostPulled)),
		}, grpc.WaitForReady(true))
		if err == nil {
			failures = 0
			l.begin(answer.ReceivedMessages)
			s.hand.take(answer.ReceivedMessages, begun.Add(ackDeadline*time.Second), s.lot)
			continue
		}
		failures++
		if s.client.life.PauseBefore(ctx, failures) != nil {
			return
		}
	}
}

// after calls f when some time has passed, unless ctx ends before.
func after(ctx context.Context, d time.Duration, f func()) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		f()
	case <-ctx.Done():
	}
}

// lot is a message as the consumer gets it.
func (s *subscription) lot(r *pb.ReceivedMessage) *lot {
	l := &lot{id: r.Message.MessageId, ack: r.AckId}
	if s.ordered {
		l.key = r.Message.OrderingKey
	}
	l.delivery = conn.Delivery{
		Channel: s.Channel,
		Attempt: int(r.DeliveryAttempt),
		Ack:     func(context.Context) error { return s.hand.settle(l, true) },
		Nack:    func(context.Context) error { return s.hand.settle(l, false) },
		Confirm: func(told func(error)) { l.told = told },
	}
	d := &l.delivery
	if d.Message, d.Err = fromPubsub(r.Message, s.client.cfg.Recall); d.Err != nil {
		d.Message, d.Raw = nil, r.Message.Data
	}
	return l
}
