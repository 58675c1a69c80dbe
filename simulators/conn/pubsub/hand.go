package pubsub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	"github.com/faultline-sim/faultline/simulators/conn"
)

const (
	// mostUnanswered is how many acknowledgements may be on their way before no more is pulled.
	mostUnanswered = 1000
	// mostRemembered is how many messages given back are known again when they return.
	mostRemembered = 4096
)

// errGivenBack is what Ack answers for a delivery that is not the consumer's any more.
var errGivenBack = errors.New("the delivery was given back")

// lot is one message that is leased to this client.
type lot struct {
	id       string // the message's, the same at each delivery
	ack      string // names its latest delivery
	key      string // its ordering key, "" where order does not matter
	until    time.Time
	out      bool // with the consumer
	settled  bool // acknowledged by the consumer, not yet by the service
	delivery conn.Delivery
	told     func(error) // hears when the service has the acknowledgement; nil is nobody
}

// ackOf is an acknowledgement of one delivery of a lot.
type ackOf struct {
	lot *lot
	ack string
}

// hand is what one subscription holds: leased lots, in order, of each key at most one with the
// consumer, and what is to be told to the service. It is safe for concurrent use.
type hand struct {
	most int // with the consumer or waiting for it, at most

	mu     sync.Mutex
	held   map[string]*lot // by message id: all that is leased
	queue  []*lot          // to be handed out, in order
	busy   map[string]bool // keys that the consumer has a lot of
	out    int             // lots with the consumer
	acks   []ackOf         // to be told
	nacks  []string        // to be told: ack ids
	given  map[string]bool // ids given back, so that their return is known
	order  []string        // those ids, the oldest first
	closed bool
	change chan struct{} // closed when something changes; nil while nobody waits
}

func newHand(prefetch int) *hand {
	if prefetch <= 0 {
		prefetch = conn.DefaultPrefetch
	}
	return &hand{
		most: prefetch, held: map[string]*lot{}, busy: map[string]bool{}, given: map[string]bool{},
	}
}

// changed wakes those who wait; the lock is held.
func (h *hand) changed() {
	if h.change != nil {
		close(h.change)
		h.change = nil
	}
}

// wait returns when ready says so, or ctx ends. ready is called with the lock held.
func (h *hand) wait(ctx context.Context, ready func() bool) error {
	for {
		h.mu.Lock()
		if ready() {
			h.mu.Unlock()
			return nil
		}
		if h.change == nil {
			h.change = make(chan struct{})
		}
		change := h.change
		h.mu.Unlock()
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// room waits until more may be pulled, and says how many.
func (h *hand) room(ctx context.Context) (n int, err error) {
	err = h.wait(ctx, func() bool {
		n = h.most - h.out - len(h.queue)
		return n > 0 && len(h.held)-h.out-len(h.queue) < mostUnanswered
	})
	return n, err
}

// take puts what was pulled in the queue. A lot that is held already was delivered anew because its
// lease ran out unseen: it goes on under its new name and is not handed out twice.
func (h *hand) take(
	pulled []*pb.ReceivedMessage, until time.Time, lotOf func(*pb.ReceivedMessage) *lot,
) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range pulled {
		if l := h.held[r.Message.MessageId]; l != nil {
			l.ack, l.until = r.AckId, until
			if l.settled {
				h.acks = append(h.acks, ackOf{l, l.ack})
			}
			continue
		}
		l := lotOf(r)
		l.until = until
		l.delivery.Redelivered = l.delivery.Attempt > 1 || h.given[l.id]
		h.held[l.id] = l
		h.queue = append(h.queue, l)
	}
	h.changed()
}

// next is what the consumer gets now, nil for nothing; the lock is held.
func (h *hand) next(now time.Time) *lot {
	if h.closed {
		return nil
	}
	h.lapse(now)
	for i, l := range h.queue {
		if l.key != "" && h.busy[l.key] {
			continue
		}
		h.queue = slices.Delete(h.queue, i, i+1)
		if l.key != "" {
			h.busy[l.key] = true
		}
		l.out = true
		h.out++
		return l
	}
	return nil
}

// lapse forgets what waits and whose lease is over: it will be delivered again. The lock is held.
func (h *hand) lapse(now time.Time) {
	h.queue = slices.DeleteFunc(h.queue, func(l *lot) bool {
		over := now.After(l.until)
		if over {
			h.remember(l.id)
			delete(h.held, l.id)
		}
		return over
	})
}

// remember notes that a lot was given back; the lock is held.
func (h *hand) remember(id string) {
	if h.given[id] {
		return
	}
	if len(h.order) == mostRemembered {
		delete(h.given, h.order[0])
		h.order = h.order[1:]
	}
	h.given[id] = true
	h.order = append(h.order, id)
}

// settle takes a lot back from the consumer.
func (h *hand) settle(l *lot, acked bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !l.out {
		return fmt.Errorf("settle message %s: %w", l.id, errGivenBack)
	}
	l.out = false
	h.out--
	delete(h.busy, l.key)
	if acked {
		l.settled = true
		h.acks = append(h.acks, ackOf{l, l.ack})
	} else {
		h.giveBack(l)
		h.recede(l.key)
	}
	h.changed()
	return nil
}

// giveBack has a lot delivered again; the lock is held.
func (h *hand) giveBack(l *lot) {
	h.nacks = append(h.nacks, l.ack)
	h.remember(l.id)
	delete(h.held, l.id)
}

// recede gives back what waits of a key, so that it comes behind an earlier message that was given
// back; the lock is held.
func (h *hand) recede(key string) {
	if key == "" {
		return
	}
	h.queue = slices.DeleteFunc(h.queue, func(l *lot) bool {
		if l.key == key {
			h.giveBack(l)
		}
		return l.key == key
	})
}

// stop hands nothing more out and gives back what waits.
func (h *hand) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, l := range h.queue {
		h.giveBack(l)
	}
	h.queue = nil
	h.changed()
}

// abandon gives back what the consumer has; it can settle nothing any more.
func (h *hand) abandon() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.held {
		if l.out {
			l.out = false
			h.giveBack(l)
		}
	}
	h.out = 0
	h.changed()
}
