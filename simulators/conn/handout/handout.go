// Package handout gives a consumer its deliveries: in order, a bounded number of them unsettled at
// once, those given back before later ones.
//
// It is used in the run step of load → plan → run → check → report, by the clients of brokers that
// do not bound or redeliver by themselves. It imports no client library.
package handout

import (
	"context"
	"sync"

	"github.com/faultline-sim/faultline/simulators/conn"
)

// Queue holds the deliveries of one subscription, or of one partition of it. It is safe for
// concurrent use. A goroutine of its own runs only while there is something to hand out.
type Queue struct {
	handle func(conn.Delivery)
	most   int

	mu       sync.Mutex
	again    []conn.Delivery // given back, handed out first
	ready    []conn.Delivery
	out      int  // handed out and not settled
	handing  bool // a goroutine hands out
	closed   bool
	room     chan struct{} // closed when a delivery is handed out; nil while nobody waits for it
	settled  chan struct{} // closed when a delivery is settled; nil while nobody waits for it
	finished sync.WaitGroup
}

// New is an empty queue; prefetch 0 is the default.
func New(prefetch int, handle func(conn.Delivery)) *Queue {
	if prefetch <= 0 {
		prefetch = conn.DefaultPrefetch
	}
	return &Queue{handle: handle, most: prefetch}
}

// Offer puts a delivery at the end. Its Ack and Nack are what settles it at the broker (Nack may
// be nil: giving back is then the queue's own affair); the consumer gets ones that also account
// for it here.
func (q *Queue) Offer(d conn.Delivery) {
	ack, nack := d.Ack, d.Nack
	offered := &d
	d.Ack = func(ctx context.Context) error {
		err := ack(ctx)
		q.settle(nil)
		return err
	}
	d.Nack = func(ctx context.Context) error {
		var err error
		if nack != nil {
			err = nack(ctx)
		}
		redelivered := *offered
		redelivered.Redelivered = true
		q.settle(&redelivered)
		return err
	}
	q.mu.Lock()
	q.ready = append(q.ready, d)
	q.wake()
	q.mu.Unlock()
}

// settle accounts for a delivery that came back, to be handed out again when it is not nil.
func (q *Queue) settle(again *conn.Delivery) {
	q.mu.Lock()
	q.out--
	if again != nil {
		q.again = append(q.again, *again)
	}
	tell(&q.settled)
	q.wake()
	q.mu.Unlock()
}

// wake starts handing out when there is cause; the lock is held.
func (q *Queue) wake() {
	if q.handing || q.closed || q.out >= q.most || len(q.again)+len(q.ready) == 0 {
		return
	}
	q.handing = true
	q.finished.Go(q.handOut)
}

func (q *Queue) handOut() {
	for {
		d, ok := q.next()
		if !ok {
			return
		}
		q.handle(d)
	}
}

// next takes a delivery that may be handed out now.
func (q *Queue) next() (d conn.Delivery, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	from := &q.again
	if len(*from) == 0 {
		from = &q.ready
	}
	if q.closed || q.out >= q.most || len(*from) == 0 {
		q.handing = false
		return conn.Delivery{}, false
	}
	d = (*from)[0]
	(*from)[0] = conn.Delivery{}
	if *from = (*from)[1:]; len(*from) == 0 {
		*from = nil
	}
	q.out++
	tell(&q.room)
	return d, true
}

// tell wakes those who await a signal; the lock is held, as it is in await.
func tell(signal *chan struct{}) {
	if *signal != nil {
		close(*signal)
		*signal = nil
	}
}

// await is a channel that the next tell closes.
func await(signal *chan struct{}) <-chan struct{} {
	if *signal == nil {
		*signal = make(chan struct{})
	}
	return *signal
}

// Room returns when fewer than the prefetch wait to be handed out, or ctx ends.
func (q *Queue) Room(ctx context.Context) error {
	for {
		q.mu.Lock()
		if len(q.ready)+len(q.again) < q.most {
			q.mu.Unlock()
			return nil
		}
		room := await(&q.room)
		q.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Settled returns when nothing that was handed out is unsettled, or ctx ends.
func (q *Queue) Settled(ctx context.Context) error {
	for {
		q.mu.Lock()
		if q.out == 0 {
			q.mu.Unlock()
			return nil
		}
		settled := await(&q.settled)
		q.mu.Unlock()
		select {
		case <-settled:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Stop hands out nothing more and forgets what waits; a delivery being handed out still is.
func (q *Queue) Stop() {
	q.mu.Lock()
	q.closed = true
	q.again, q.ready = nil, nil
	q.mu.Unlock()
}

// Close is Stop, and returns when the handling function has returned.
func (q *Queue) Close() {
	q.Stop()
	q.finished.Wait()
}
