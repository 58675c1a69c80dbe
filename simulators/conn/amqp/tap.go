package amqp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/faultline-sim/faultline/simulators/conn"
)

// errRevoked is what Ack answers for a delivery that somebody else is given now.
var errRevoked = errors.New("the delivery was taken back: it is delivered again")

// tap is one consumer of one queue, on an AMQP channel of its own: closing that gives everything
// unsettled back in the same step that lets the next consumer in.
type tap struct {
	desk  *desk
	part  int
	ch    *amqp.Channel
	in    <-chan amqp.Delivery
	stop  chan struct{} // closed when nothing more is to be handed out
	once  sync.Once
	gone  chan struct{} // closed when the AMQP channel is, or the broker has cancelled the consumer
	dirty chan struct{} // capacity 1: there is something to send

	mu      sync.Mutex
	queued  int                 // taken from the broker and not handed out
	hand    map[uint64]struct{} // handed out and not settled, by delivery tag
	said    []verdict           // settled and not sent
	kept    int                 // slots of what was given back and has not come again
	sending int
	quiet   chan struct{} // closed when nothing is in hand or unsent; nil while nobody waits
	closed  bool
}

// begin hands out what comes.
func (t *tap) begin() {
	s := t.desk.sub
	s.mu.Lock()
	s.taps[t] = struct{}{}
	s.mu.Unlock()
	s.client.life.Beside(t.handOut) // who begins is counted
	s.client.life.Beside(t.send)
}

// handOut takes deliveries from the library, so that they are known of, and hands them out as the
// subscription's prefetch lets it. One that was given back has its place kept.
func (t *tap) handOut() {
	var queue []amqp.Delivery
	for {
		var slots chan<- struct{}
		if len(queue) > 0 {
			if queue[0].Redelivered && t.unkeep() {
				if !t.handOne(&queue) {
					return
				}
				continue
			}
			slots = t.desk.slots
		}
		select {
		case d, ok := <-t.in:
			if !ok {
				t.drop()
				return
			}
			queue = slices.Insert(queue, place(queue, d), d)
			t.note(1)
		case slots <- struct{}{}:
			if !t.handOne(&queue) {
				return
			}
		case <-t.stop:
			return
		}
	}
}

// place is where a delivery belongs among those that wait: what was given back comes before what
// was not delivered yet, as it stands in the broker's queue.
func place(queue []amqp.Delivery, d amqp.Delivery) int {
	if !d.Redelivered {
		return len(queue)
	}
	return slices.IndexFunc(append(queue, amqp.Delivery{}), func(other amqp.Delivery) bool {
		return !other.Redelivered
	})
}

// handOne hands out the first that waits, whose slot is taken; false when none is any more.
func (t *tap) handOne(queue *[]amqp.Delivery) bool {
	d := (*queue)[0]
	(*queue)[0] = amqp.Delivery{}
	*queue = (*queue)[1:]
	if !t.hold(d.DeliveryTag) {
		<-t.desk.slots
		return false
	}
	t.desk.sub.Handle(t.delivery(&d))
	return true
}

// unkeep takes a slot that was kept; false says that there is none.
func (t *tap) unkeep() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept == 0 {
		return false
	}
	t.kept--
	return true
}

func (t *tap) note(change int) {
	t.mu.Lock()
	t.queued += change
	t.mu.Unlock()
}

// hold notes that a delivery is handed out; false when none are any more.
func (t *tap) hold(tag uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.stop:
		return false
	default:
	}
	if t.closed {
		return false
	}
	t.queued--
	t.hand[tag] = struct{}{}
	return true
}

// held is how many deliveries the broker waits for.
func (t *tap) held() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.queued + len(t.hand) + len(t.said) + t.sending
}

// delivery is what the consumer gets.
func (t *tap) delivery(d *amqp.Delivery) conn.Delivery {
	s := t.desk.sub
	tag := d.DeliveryTag
	var told func(error)
	settle := func(as outcome) func(context.Context) error {
		return func(context.Context) error { return t.settle(verdict{tag, as, told}) }
	}
	out := conn.Delivery{
		Channel: s.Channel, Partition: int32(t.part), Redelivered: d.Redelivered,
		Attempt: attempt(d, t.desk.layout.native),
		Ack:     settle(acked), Nack: settle(given),
		Confirm: func(f func(error)) { told = f },
		Lost: func() bool {
			t.mu.Lock()
			defer t.mu.Unlock()
			return t.closed
		},
	}
	if t.desk.layout.native {
		out.Reject = settle(rejected)
	}
	if out.Message, out.Err = s.client.fromDelivery(d); out.Err != nil {
		out.Raw = d.Body
	} else if out.Message.Key != "" {
		out.Scope = "key " + out.Message.Key
	}
	return out
}

// settle says what became of a delivery; the broker is told by another goroutine.
func (t *tap) settle(v verdict) error {
	t.mu.Lock()
	_, open := t.hand[v.tag]
	if !open || t.closed {
		t.mu.Unlock()
		return fmt.Errorf("settle a delivery of %q: %w", t.desk.sub.Channel, errRevoked)
	}
	delete(t.hand, v.tag)
	t.said = append(t.said, v)
	// Where the broker dead-letters it may not come again; then each part has slots of its own.
	keep := v.as == given && !t.desk.layout.native
	if keep {
		t.kept++
	}
	t.mu.Unlock()
	if !keep {
		<-t.desk.slots
	}
	select {
	case t.dirty <- struct{}{}:
	default:
	}
	return nil
}

// pause hands out nothing more; what is in hand may still be settled.
func (t *tap) pause() { t.once.Do(func() { close(t.stop) }) }

// settled returns when nothing is in hand and the broker was told, or ctx ends or it need not.
func (t *tap) settled(ctx context.Context, lost <-chan struct{}) {
	for {
		t.mu.Lock()
		if t.isQuiet() {
			t.mu.Unlock()
			return
		}
		if t.quiet == nil {
			t.quiet = make(chan struct{})
		}
		quiet := t.quiet
		t.mu.Unlock()
		select {
		case <-quiet:
		case <-t.gone:
			return
		case <-lost:
			return
		case <-ctx.Done():
			return
		}
	}
}

// isQuiet says whether there is nothing to wait for; the lock is held.
func (t *tap) isQuiet() bool { return len(t.hand)+len(t.said)+t.sending == 0 }

// end hands out nothing more, waits within ctx for what is in hand, and gives the rest back.
func (t *tap) end(ctx context.Context) {
	t.pause()
	if !t.desk.sub.leaving.Load() {
		t.settled(ctx, t.desk.gone)
	}
	t.close()
	s := t.desk.sub
	s.mu.Lock()
	delete(s.taps, t)
	s.mu.Unlock()
}

// close gives back what is unsettled. The slots of what is in hand are free: it will never settle.
// It may be called again.
func (t *tap) close() {
	t.mu.Lock()
	before := t.closed
	t.closed = true
	n, unsaid := len(t.hand)+t.kept, t.said
	t.hand, t.said, t.kept = nil, nil, 0
	t.mu.Unlock()
	tellAll(unsaid, errNotSent)
	if before {
		return
	}
	for range n {
		<-t.desk.slots
	}
	t.desk.hangUp(t.ch)
	t.drop()
}

// drop ends the sending; the tap is no more.
func (t *tap) drop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.gone:
	default:
		close(t.gone)
	}
}
