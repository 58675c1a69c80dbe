package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/lease"
)

const (
	// lookEvery is how often a member of a group looks how the parts are shared.
	lookEvery = 250 * time.Millisecond
	// leaseLasts is how long a member keeps its parts without a look that worked. That nobody else
	// has them is the broker's promise; this ends what takes from a broker that answers no more.
	leaseLasts = 4 * time.Second
	// grace is how long deliveries in hand may still be settled when a part is given up or the
	// subscription ends.
	grace = 500 * time.Millisecond
)

// subscription is one membership in a group.
type subscription struct {
	client *Client
	conn.Subscription
	prefetch int
	ready    chan struct{} // closed when deliveries can arrive
	once     sync.Once
	err      error       // why it ended before it was ready; set before it ended
	leaving  atomic.Bool // what is in hand has had its grace

	mu   sync.Mutex
	taps map[*tap]struct{}
}

// Subscribe takes from a group's queues (the client's own group, where none is named) and returns
// when deliveries can arrive. A group that nobody declared gets its queues now, and what was
// published before is not in them.
//
// Where the channel has parts, the members of a group share them, each part with one member at a
// time, and a part's deliveries come in order from one goroutine. Else its members compete, or,
// where a key orders the channel, the broker delivers to one of them at a time. Ack, Nack and
// Reject return at once, and what they say is sent a moment later; where the connection was lost or
// the part taken away they are errors, and the message is delivered again. When ctx ends the client
// leaves the group.
func (c *Client) Subscribe(ctx context.Context, sub conn.Subscription) error {
	s := &subscription{
		client: c, Subscription: sub, prefetch: sub.Prefetch,
		ready: make(chan struct{}), taps: map[*tap]struct{}{},
	}
	if s.Group == "" {
		s.Group = c.cfg.Client
	}
	if s.prefetch <= 0 {
		s.prefetch = conn.DefaultPrefetch
	}
	ended, err := c.life.Stay(ctx, s.run)
	if err != nil {
		return fmt.Errorf("subscribe to %q: %w", sub.Channel, err)
	}
	select {
	case <-s.ready:
		return nil
	case <-ended:
		return fmt.Errorf("subscribe to %q: %w", sub.Channel, errors.Join(s.err, ctx.Err()))
	}
}

// run attends one connection after the other until ctx ends.
func (s *subscription) run(ctx context.Context) {
	for misses := 1; ctx.Err() == nil; misses++ {
		attended, err := s.attend(ctx)
		switch {
		case attended:
			misses = 0
		case errors.Is(err, conn.ErrRefused) && !s.isReady():
			s.err = err
			return
		}
		if s.client.pause(ctx, max(1, misses)) != nil {
			return
		}
	}
}

func (s *subscription) isReady() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

// attend takes from the queues over one connection until that is lost or ctx ends. It says whether
// it came to that, and else why not.
func (s *subscription) attend(ctx context.Context) (bool, error) {
	l, err := s.prepare(ctx)
	if err != nil {
		return false, err
	}
	session, err := s.client.feed.session(ctx)
	if err != nil {
		return false, err
	}
	d, err := s.sit(ctx, session, l)
	if err != nil {
		return false, err
	}
	defer d.leave()
	taking, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var watched sync.WaitGroup
	defer watched.Wait()
	watched.Go(func() { s.until(ctx, d, stop) })
	if l.parts > 1 {
		s.share(taking, d)
		return true, nil
	}
	return s.takeAll(taking, d)
}

// until ends the taking: at once where the connection is lost, after a grace where ctx ends.
func (s *subscription) until(ctx context.Context, d *desk, stop func()) {
	defer stop()
	select {
	case <-d.gone:
		return
	case <-ctx.Done():
	}
	if s.client.life.Crashed() {
		return
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	taps := s.open()
	for _, t := range taps {
		t.pause()
	}
	for _, t := range taps {
		t.settled(limited, d.gone)
	}
	s.leaving.Store(true)
	var all sync.WaitGroup
	for _, t := range taps {
		all.Go(t.close) // side by side: each may have to wait for a broker that does not answer
	}
	all.Wait()
}

func (s *subscription) open() []*tap {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*tap
	for t := range s.taps {
		all = append(all, t)
	}
	return all
}

// prepare finds out what the channel is and makes the group's queues where they are not there.
func (s *subscription) prepare(ctx context.Context) (layout, error) {
	c := s.client
	l, err := c.layout(ctx, s.Channel)
	if errors.Is(err, errMissing) {
		return l, c.refused(s.Channel, fmt.Sprintf(
			"there is no exchange %q: declare the channel", ExchangeName(s.Channel)))
	}
	if err != nil || l.transient {
		return l, err
	}
	if what := tooLong(s.Channel, []string{s.Group}); what != "" {
		return l, c.refused(s.Channel, what)
	}
	err = c.ask(ctx, func(ch *amqp.Channel) error {
		last := queueName(s.Channel, s.Group, l.part(l.parts-1))
		_, err := ch.QueueDeclarePassive(last, true, false, false, false, nil)
		return err
	})
	if answered(err, amqp.NotFound) {
		err = c.makeQueues(ctx, s.Channel, s.Group, l)
	}
	if answered(err, amqp.NotFound) { // the exchange is gone since its layout was found
		c.layouts.Delete(s.Channel)
	}
	return l, err
}

// takeAll takes from a channel's only queue.
func (s *subscription) takeAll(ctx context.Context, d *desk) (bool, error) {
	t, err := d.tap(ctx, 0)
	if err != nil {
		return false, err
	}
	t.begin()
	s.once.Do(func() { close(s.ready) })
	select {
	case <-ctx.Done():
	case <-t.gone:
	}
	t.end(ctx)
	return true, nil
}

// share takes from the parts that are this member's.
func (s *subscription) share(ctx context.Context, d *desk) {
	b := newBoard(d)
	lease.New(lease.Options{
		Name: self, Table: b, Every: lookEvery, Lasts: leaseLasts,
		Begin: func(part string) { b.taps[part].begin() },
		End:   func(ctx context.Context, part string) { b.give(ctx, part) },
		Settled: func() {
			s.once.Do(func() { close(s.ready) })
		},
		Grace: grace,
	}).Run(ctx)
}
