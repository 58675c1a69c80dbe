package kinesis

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
	// grace is how long deliveries in hand may still be settled when a shard is given up, and
	// graceAll the same for all that are given up after one look, from that look on: the next may not
	// be too late for the shards that stay.
	grace    = 200 * time.Millisecond
	graceAll = leaseLasts / 2
	// markEvery is the least time between two rounds of writing checkpoints.
	markEvery = 200 * time.Millisecond
)

// errRevoked is what Ack answers for a shard that somebody else has now.
var errRevoked = errors.New("the shard was taken away")

// subscription is one membership in a group.
type subscription struct {
	client *Client
	conn.Subscription
	stream  string
	leases  *leases
	board   *board
	ready   chan struct{} // closed when shards were first taken
	credits chan struct{} // one for each delivery in the consumer's hands
	dirty   chan struct{} // capacity 1: a checkpoint can be written

	mu     sync.Mutex
	shares map[string]*share // by shard
	seen   map[int32]int64   // by shard number: the highest offset that was handed out
}

// Subscribe joins a group (the client's own, where none is named) and returns when the group's
// lease table has given it its share of the shards, which may be none. Deliveries of a shard come
// in order from one goroutine. Ack returns at once; the checkpoint is written a moment later, once
// all before it are settled too, and Ack of a shard that has been taken away is an error: somebody
// else is given the record again. Nack hands the record out again before any that has not been
// handed out yet, and the service counts no attempts. While no service answers Subscribe waits,
// for a stream that does not exist it does not. When ctx ends the client leaves the group.
func (c *Client) Subscribe(ctx context.Context, sub conn.Subscription) error {
	s := c.subscription(sub)
	if err := s.prepare(ctx); err != nil {
		return fmt.Errorf("subscribe to %q over %s: %w", sub.Channel, c.link.Wire(), err)
	}
	ended, err := c.link.Life().Stay(ctx, s.run)
	if err != nil {
		return fmt.Errorf("subscribe to %q over %s: %w", sub.Channel, c.link.Wire(), err)
	}
	select {
	case <-s.ready:
		return nil
	case <-ended:
		return fmt.Errorf("subscribe to %q over %s: %w",
			sub.Channel, c.link.Wire(), errors.Join(ctx.Err(), life.ErrClosed))
	}
}

func (c *Client) subscription(sub conn.Subscription) *subscription {
	if sub.Group == "" {
		sub.Group = c.cfg.Client
	}
	if sub.Prefetch <= 0 {
		sub.Prefetch = conn.DefaultPrefetch
	}
	s := &subscription{
		client: c, Subscription: sub, stream: StreamName(sub.Channel),
		leases:  c.leases(sub.Channel, sub.Group),
		ready:   make(chan struct{}),
		credits: make(chan struct{}, sub.Prefetch), dirty: make(chan struct{}, 1),
		shares: map[string]*share{}, seen: map[int32]int64{},
	}
	// A name of its own each time: what a crashed one of the same client held is not this one's.
	s.board = newBoard(c, s.leases, s.stream, c.cfg.Client+"/"+rand.Text()[:8])
	return s
}

// prepare returns when the stream and the lease table are there.
func (s *subscription) prepare(ctx context.Context) error {
	for n := 1; ; n++ {
		err := s.client.awaitStream(ctx, s.stream)
		if err == nil {
			err = s.leases.make(ctx)
		}
		if err == nil || errors.Is(err, conn.ErrRefused) {
			return err
		}
		if wait := s.client.link.Pause(ctx, n); wait != nil {
			return errors.Join(wait, err)
		}
	}
}

// run takes part in the group until ctx ends.
func (s *subscription) run(ctx context.Context) {
	var keeper sync.WaitGroup
	keeping, stop := context.WithCancel(s.client.link.Life())
	keeper.Go(func() { s.keep(keeping) })
	lease.New(lease.Options{
		Name: s.board.name, Table: s.board,
		Every: lookEvery, Lasts: leaseLasts, Grace: grace,
		Begin: s.begin, End: s.finish, Settled: func() { close(s.ready) },
	}).Run(ctx)
	stop()
	keeper.Wait()
	s.board.leave(context.WithoutCancel(ctx))
}

// begin takes from a shard that has just become this member's.
func (s *subscription) begin(part string) {
	sh := s.share(s.board.held[part])
	s.mu.Lock()
	s.shares[part] = sh
	s.mu.Unlock()
	go sh.fetch()
}

// finish stops taking from a shard and returns when what is in hand is settled, or ctx ends.
func (s *subscription) finish(ctx context.Context, part string) {
	s.mu.Lock()
	sh := s.shares[part]
	delete(s.shares, part)
	s.mu.Unlock()
	ctx, cancel := context.WithDeadline(ctx, s.board.looked.Add(graceAll))
	defer cancel()
	s.board.drop(part, sh.end(ctx))
}

// touch says that a checkpoint can be written.
func (s *subscription) touch() {
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// keep writes checkpoints whenever there are any to, not too often, until ctx ends.
func (s *subscription) keep(ctx context.Context) {
	tick := time.NewTicker(markEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.dirty:
		case <-ctx.Done():
			return
		}
		var writing sync.WaitGroup
		for _, sh := range s.all() {
			writing.Go(func() {
				if sh.write(ctx) != nil {
					s.touch() // again: the wire may be cut
				}
			})
		}
		writing.Wait()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *subscription) all() []*share {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*share, 0, len(s.shares))
	for _, sh := range s.shares {
		all = append(all, sh)
	}
	return all
}

// first says whether an offset was never handed out by this subscription, and notes it.
func (s *subscription) first(shard int32, offset int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if highest, known := s.seen[shard]; known && offset <= highest {
		return false
	}
	s.seen[shard] = offset
	return true
}
