package pubsub

import (
	"context"
	"slices"
	"sync"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

const (
	// leaseFor is how long a delivery stays with a consumer that says nothing more: what a crash
	// costs. It is in whole seconds. renewEvery is how often the consumer says it.
	leaseFor   = 2 * time.Second
	renewEvery = 500 * time.Millisecond
	// mostRenewing is how many renewals may be on their way at once. On a slow wire they do not wait
	// for each other's answers, or the lease would run out between them.
	mostRenewing = 8
)

// lease keeps what a subscription holds from others, in short steps. A subscription's own deadline
// is at least 10 s; that of a delivery may be shortened.
type lease struct {
	sub   *subscription
	ctx   context.Context
	slots chan struct{}
	under sync.WaitGroup // renewals on their way
}

func newLease(ctx context.Context, s *subscription) *lease {
	return &lease{sub: s, ctx: ctx, slots: make(chan struct{}, mostRenewing)}
}

// begin shortens the lease of what was pulled, and returns when that has been asked for.
func (l *lease) begin(pulled []*pb.ReceivedMessage) {
	ids := make([]string, len(pulled))
	for i, r := range pulled {
		ids[i] = r.AckId
	}
	l.renew(ids)
}

// keep renews all that is held now and then, until ctx ends.
func (l *lease) keep() {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.renew(l.sub.hand.leased(time.Now()))
		case <-l.ctx.Done():
			return
		}
	}
}

// renew asks for some time from now on, and returns when that is on its way.
func (l *lease) renew(ids []string) {
	for chunk := range slices.Chunk(ids, mostSettled) {
		select {
		case l.slots <- struct{}{}:
		case <-l.ctx.Done():
			return
		}
		ctx, t := follow(l.ctx)
		answered := make(chan struct{})
		l.under.Go(func() {
			defer func() { <-l.slots }()
			defer close(answered)
			until := time.Now().Add(leaseFor)
			if l.sub.modify(ctx, chunk, int32(leaseFor/time.Second)) == nil {
				l.sub.hand.renewed(chunk, until)
			}
		})
		select {
		case <-t.sent:
		case <-answered:
		}
	}
}

// leased are the ack ids of all that is held; what waits and whose lease is over is forgotten.
func (h *hand) leased(now time.Time) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lapse(now)
	ids := make([]string, 0, len(h.held))
	for _, l := range h.held {
		ids = append(ids, l.ack)
	}
	return ids
}

// renewed notes until when deliveries are leased.
func (h *hand) renewed(ids []string, until time.Time) {
	in := make(map[string]bool, len(ids))
	for _, id := range ids {
		in[id] = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.held {
		if in[l.ack] {
			l.until = until
		}
	}
}
