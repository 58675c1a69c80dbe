package pubsub

import (
	"context"
	"fmt"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"

	"github.com/faultline-sim/faultline/simulators/conn"
)

// mostSettled is how many ack ids one request carries: the service takes half a megabyte of them.
const mostSettled = 1000

// tell sends what was settled until ctx ends.
func (s *subscription) tell(ctx context.Context) {
	h := s.hand
	for failures := 0; ; {
		err := h.wait(ctx, func() bool { return len(h.acks)+len(h.nacks) > 0 })
		if err != nil {
			return
		}
		if err = s.tellOnce(ctx); err == nil {
			failures = 0
			continue
		}
		failures++
		if s.client.life.PauseBefore(ctx, failures) != nil {
			return
		}
	}
}

// tellOnce sends acknowledgements, then what is given back. What got no answer stays to be told.
func (s *subscription) tellOnce(ctx context.Context) error {
	h := s.hand
	h.mu.Lock()
	acks := h.acks[:min(len(h.acks), mostSettled)]
	nacks := h.nacks[:min(len(h.nacks), mostSettled)]
	h.mu.Unlock()
	if len(acks) > 0 {
		err := s.acknowledge(ctx, acks)
		if err != nil && !isRefusal(err) {
			return err
		}
		h.acknowledged(len(acks), err)
	}
	if len(nacks) > 0 {
		if err := s.modify(ctx, nacks, 0); err != nil && !isRefusal(err) {
			return err
		}
		h.receded(len(nacks))
	}
	return nil
}

func (s *subscription) acknowledge(ctx context.Context, acks []ackOf) error {
	req := &pb.AcknowledgeRequest{Subscription: s.name, AckIds: make([]string, len(acks))}
	for i, a := range acks {
		req.AckIds[i] = a.ack
	}
	return s.client.bounded(ctx, func(ctx context.Context) error {
		_, err := s.client.subscriber.Acknowledge(ctx, req, grpc.WaitForReady(true))
		return err
	})
}

// modify leases deliveries for some seconds from now on, or gives them back by 0.
func (s *subscription) modify(ctx context.Context, ackIDs []string, seconds int32) error {
	return s.client.bounded(ctx, func(ctx context.Context) error {
		_, err := s.client.subscriber.ModifyAckDeadline(ctx, &pb.ModifyAckDeadlineRequest{
			Subscription: s.name, AckIds: ackIDs, AckDeadlineSeconds: seconds,
		}, grpc.WaitForReady(true))
		return err
	})
}

// acknowledged forgets the first n acknowledgements, and their lots unless those were delivered
// anew. They were refused where there is an error.
func (h *hand) acknowledged(n int, err error) {
	h.mu.Lock()
	answered := h.acks[:n]
	for _, a := range answered {
		if a.lot.ack == a.ack {
			delete(h.held, a.lot.id)
		}
	}
	h.acks = append([]ackOf(nil), h.acks[n:]...)
	h.changed()
	h.mu.Unlock()
	for _, a := range answered {
		a.lot.tell(err)
	}
}

// tell says once whether the service has the lot's acknowledgement.
func (l *lot) tell(err error) {
	if l.told != nil {
		l.told(err)
		l.told = nil
	}
}

// untold tells of acknowledgements that no answer has come to.
func (h *hand) untold() {
	h.mu.Lock()
	left := h.acks
	h.acks = nil
	h.mu.Unlock()
	for _, a := range left {
		a.lot.tell(fmt.Errorf("%w: the subscription has ended", conn.ErrUnknown))
	}
}

// receded forgets the first n that were given back.
func (h *hand) receded(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.nacks = append([]string(nil), h.nacks[n:]...)
	h.changed()
}
