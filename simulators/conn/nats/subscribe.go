package nats

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/lease"
	"github.com/faultline-sim/faultline/simulators/conn/life"
)

const (
	// ackWait is how long the server waits for an answer to a delivery before it delivers it again:
	// what a crash costs. A delivery in hand is reported as in progress each third of it.
	ackWait = 1500 * time.Millisecond
	// mostAckPending bounds the deliveries of one part that are unsettled over all consumers.
	mostAckPending = 10_000
	// grace is how long deliveries in hand may still be settled when a part is given up.
	grace = 500 * time.Millisecond
	// leaseLasts is how long a silent member keeps its parts; it is renewed each leaseEvery. It is
	// more than two round trips over a wire that a connection can live with (see pingEvery).
	leaseLasts = 2000 * time.Millisecond
	leaseEvery = 200 * time.Millisecond
)

// errRevoked is the answer to settling a delivery whose part has gone to another consumer.
var errRevoked = errors.New("its part has gone to another consumer")

// subscription is one membership in a group.
type subscription struct {
	client *Client
	conn.Subscription
	kept  *kept
	name  string          // of the member, unique over restarts
	until context.Context // ends the taking; set before it begins
	ready chan struct{}   // closed when deliveries can arrive
	once  sync.Once

	mu     sync.Mutex
	shares map[string]*share // by part
}

// Subscribe takes part in a group (the client's own, where none is named). Where the channel
// promises order each part has one consumer at a time, by leases that stand in a key-value bucket
// of the server; else all of the group's consumers are dealt the messages. The server counts
// deliveries; Nack gives a message back at once, ahead of later ones that are not in hand yet. A
// transient channel is a queue subscription, where settling means nothing.
func (c *Client) Subscribe(ctx context.Context, sub conn.Subscription) error {
	if err := c.subscribe(ctx, sub); err != nil {
		return fmt.Errorf("subscribe to %q: %w", sub.Channel, err)
	}
	return nil
}

func (c *Client) subscribe(ctx context.Context, sub conn.Subscription) error {
	k, err := c.find(ctx, sub.Channel)
	if err != nil {
		return err
	}
	if sub.Group == "" {
		sub.Group = c.cfg.Client
	}
	if sub.Prefetch <= 0 {
		sub.Prefetch = conn.DefaultPrefetch
	}
	s := &subscription{
		client: c, Subscription: sub, kept: k,
		name:  Token(c.cfg.Client) + "-" + rand.Text()[:8],
		ready: make(chan struct{}), shares: map[string]*share{},
	}
	if !k.transient {
		if err := c.makeConsumers(ctx, k, sub.Group); err != nil {
			return err
		}
	}
	run, err := s.way(ctx)
	if err != nil {
		return err
	}
	ended, err := c.life.Stay(ctx, func(ctx context.Context) { s.run(ctx, run) })
	if err != nil {
		return err
	}
	select {
	case <-s.ready:
		return nil
	case <-ended:
		return errors.Join(ctx.Err(), life.ErrClosed)
	}
}

// way is how the subscription takes messages until its context ends.
func (s *subscription) way(ctx context.Context) (func(context.Context), error) {
	switch {
	case s.kept.transient:
		return s.listen, nil
	case s.kept.ordered:
		board, err := s.client.board(ctx, s)
		if err != nil {
			return nil, err
		}
		return board.run, nil
	}
	return s.compete, nil
}

func (s *subscription) run(ctx context.Context, take func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	if s.kept.dead != "" {
		beside.Go(func() { s.moveGivenUp(ctx) })
	}
	s.until = ctx
	take(ctx)
}

func (s *subscription) arrived() { s.once.Do(func() { close(s.ready) }) }

// member shares the channel's parts with the group's other members.
func (s *subscription) member(table lease.Table) *lease.Member {
	return lease.New(lease.Options{
		Name: s.name, Table: table, Every: leaseEvery, Lasts: leaseLasts, Grace: grace,
		Begin: s.begin, End: s.endShare, Settled: s.arrived,
	})
}

func (s *subscription) begin(part string) {
	sh := newShare(s, part)
	s.mu.Lock()
	s.shares[part] = sh
	s.mu.Unlock()
	sh.start(s.client.life)
}

// holds says that the member takes from some part.
func (s *subscription) holds() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.shares) > 0
}

func (s *subscription) endShare(ctx context.Context, part string) {
	s.mu.Lock()
	sh := s.shares[part]
	delete(s.shares, part)
	s.mu.Unlock()
	if sh != nil {
		sh.end(ctx)
	}
}

// compete takes from all parts beside the group's other members, until ctx ends.
func (s *subscription) compete(ctx context.Context) {
	for part := range s.kept.parts {
		s.begin(fmt.Sprint(part))
	}
	s.arrived()
	<-ctx.Done()
	done, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	for part := range s.kept.parts {
		s.endShare(done, fmt.Sprint(part))
	}
}
