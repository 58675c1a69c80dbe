package sqs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/faultline-sim/faultline/simulators/conn"
)

const (
	// visibility is how long a message is withheld from others after a sign of life of who has it:
	// what a crash costs. It is renewed for those that were not for renewEvery, looked at each
	// renewLook.
	visibility = 2 * time.Second
	renewEvery = 500 * time.Millisecond
	renewLook  = 250 * time.Millisecond
	// longPoll is how long the service holds a receive that finds nothing, and how long the end of
	// a subscription may take: a poll that is given up takes what comes meanwhile with it.
	longPoll = time.Second
	// farewell bounds what an ending subscription still settles.
	farewell = 1500 * time.Millisecond
	// mostPollers is how many receives a subscription has under way at once, where order allows it,
	// one for each perPoller of its prefetch.
	mostPollers = 4
	perPoller   = 32
)

// errGone is the answer to who settles a message that is no longer his.
var errGone = errors.New("message was given back")

// subscription is one consumer of a name's queues.
type subscription struct {
	queues *Queues
	conn.Subscription
	sources []*source
	work    sync.WaitGroup
	stop    chan struct{} // closed when nothing is handed out any more
	settler *settler

	mu    sync.Mutex
	most  int // unsettled at once
	open  int // unsettled, and reserved by receives under way
	held  map[string]*holding
	lines map[string][]*holding // FIFO, by group: the first is in the consumer's hand
	ready []*holding            // to be handed out
	wake  chan struct{}         // capacity 1: ready has grown
	room  chan struct{}         // closed when open shrinks; nil while nobody waits for it
	over  bool
}

// source is one of the queues.
type source struct {
	*queue
	// counts says that the queue gives messages up after so many deliveries, so that none may be
	// taken that is not handed out.
	counts bool
}

// Subscribe consumes what a name stands for, until ctx ends or Close. Without an answer it waits; a
// queue that does not exist or is another group's is refused. Messages of a FIFO queue's group are
// handed out one at a time: the next when the one before it was acknowledged, and all again when it
// was given back. Ack and Nack return at once, and their requests follow.
func (q *Queues) Subscribe(ctx context.Context, name string, sub conn.Subscription) error {
	sources, err := q.await(ctx, name, sub.Group)
	if err != nil {
		return err
	}
	s := &subscription{
		queues: q, Subscription: sub, sources: sources,
		stop: make(chan struct{}), wake: make(chan struct{}, 1),
		most: sub.Prefetch, held: map[string]*holding{}, lines: map[string][]*holding{},
	}
	if s.most <= 0 {
		s.most = conn.DefaultPrefetch
	}
	s.settler = newSettler(q)
	_, err = q.link.Life().Stay(ctx, s.run)
	return err
}

// await finds the queues as soon as the service answers.
func (q *Queues) await(ctx context.Context, name, group string) ([]*source, error) {
	for n := 1; ; n++ {
		sources, err := q.sources(ctx, name, group)
		if err == nil || errors.Is(err, conn.ErrRefused) || errors.Is(err, conn.ErrUnsupported) {
			return sources, err
		}
		if wait := q.link.Pause(ctx, n); wait != nil {
			return nil, errors.Join(wait, err)
		}
	}
}

func (q *Queues) sources(ctx context.Context, name, group string) ([]*source, error) {
	all, err := q.findAll(ctx, name)
	if err != nil {
		return nil, err
	}
	var sources []*source
	for _, one := range all {
		if err := q.claim(ctx, one, group); err != nil {
			return nil, err
		}
		found, err := q.attributes(ctx, one, types.QueueAttributeNameRedrivePolicy)
		if err != nil {
			return nil, err
		}
		counts := found[string(types.QueueAttributeNameRedrivePolicy)] != ""
		sources = append(sources, &source{one, counts})
	}
	return sources, nil
}

// run consumes until ctx ends, then gives back what is not settled.
func (s *subscription) run(ctx context.Context) {
	life := s.queues.link.Life()
	last, endLast := context.WithCancel(life)
	defer endLast()
	renewing, endRenewing := context.WithCancel(life)
	settling, endSettling := context.WithCancel(life)
	var renewer sync.WaitGroup
	renewer.Go(func() { s.renew(renewing) })
	go s.settler.run(settling) // ended is awaited
	s.start(ctx, last)

	<-ctx.Done()
	close(s.stop)
	giveUp := time.AfterFunc(longPoll+farewell/2, endLast)
	s.work.Wait()
	giveUp.Stop()
	endRenewing()
	renewer.Wait()
	s.giveBack(settling)
	endSettling()
	<-s.settler.ended
}

// start begins to receive and to hand out.
func (s *subscription) start(ctx, last context.Context) {
	s.work.Go(s.handOut)
	for _, src := range s.sources {
		for range s.pollers(src) {
			s.work.Go(func() { s.poll(ctx, last, src) })
		}
	}
}

// pollers is how many receives are under way at once: of a FIFO queue one, so that its messages
// come in order also where groups are not locked at once.
func (s *subscription) pollers(src *source) int {
	if src.fifo {
		return 1
	}
	return max(1, min(mostPollers, s.most/perPoller))
}

// giveBack makes all that is not settled visible to others, and what was settled final.
func (s *subscription) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	s.mu.Lock()
	s.over = true
	var back []*holding
	for _, h := range s.held {
		if !h.settled {
			back = append(back, h)
		}
	}
	s.mu.Unlock()
	s.settler.giveBack(back)
	s.settler.finish(ctx)
}

// handOut passes on what is ready, from one goroutine.
func (s *subscription) handOut() {
	for {
		s.mu.Lock()
		var next *holding
		if len(s.ready) > 0 {
			next = s.ready[0]
			s.ready = s.ready[1:]
		}
		s.mu.Unlock()
		if next == nil {
			select {
			case <-s.wake:
				continue
			case <-s.stop:
				return
			}
		}
		select {
		case <-s.stop:
			return
		default:
			s.Handle(next.delivery)
		}
	}
}

// reserve waits for room for at least one message, and takes room for up to most.
func (s *subscription) reserve(ctx context.Context, most int) (int, error) {
	for {
		s.mu.Lock()
		if n := min(most, s.most-s.open); n > 0 {
			s.open += n
			s.mu.Unlock()
			return n, nil
		}
		if s.room == nil {
			s.room = make(chan struct{})
		}
		room := s.room
		s.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// release gives room back.
func (s *subscription) release(n int) {
	s.mu.Lock()
	s.free(n)
	s.mu.Unlock()
}

// free gives room back; the lock is held.
func (s *subscription) free(n int) {
	s.open -= n
	if n > 0 && s.room != nil {
		close(s.room)
		s.room = nil
	}
}

// offer puts a message at the end of what is ready; the lock is held.
func (s *subscription) offer(h *holding) {
	s.ready = append(s.ready, h)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// describe adds what was being done to an error.
func (s *subscription) describe(verb string, err error) error {
	return fmt.Errorf("%s a message of %q: %w", verb, s.Channel, err)
}
