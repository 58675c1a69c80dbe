package program

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/conn"
)

// redeliverAfter is the pause before a delivery is given back where no backoff is declared: even a
// careless client does not spin.
const redeliverAfter = 100 * time.Millisecond

// Handle runs one delivery, or one batch of them, to its end: each item is acknowledged,
// dead-lettered, given back, or answered. It returns early when ctx ends, with nothing settled.
func (a *Actor) Handle(ctx context.Context, h *Handler, items []*Item) {
	a.inHand.Add(int64(len(items)))
	a.Watch.took()
	defer a.inHand.Add(-int64(len(items)))
	live := a.admit(ctx, h, items)
	first := 1
	if h.RetryChannel() != "" && len(live) > 0 {
		first += live[0].before // they come one by one
	}
	for n := first; len(live) > 0; n++ {
		if a.enterPool(ctx) != nil {
			return
		}
		a.attempt(ctx, h, live, int32(n))
		a.leavePool()
		if ctx.Err() != nil {
			return
		}
		live = a.conclude(ctx, h, live, n)
		if len(live) > 0 && simulators.Wait(a.Stopping, a.spread(live[0], h.Name, h.backoff, n)) != nil {
			return
		}
		live = slices.DeleteFunc(live, (*Item).Lost)
	}
}

// admit records what has arrived and lets through what is to be worked on.
func (a *Actor) admit(ctx context.Context, h *Handler, items []*Item) []*Item {
	live := items[:0]
	for _, it := range items {
		if it.InFlow() {
			it.given = h.count(it)
		}
		e := a.delivered(history.Receive, h, it)
		a.record(&e)
		if a.expired(h, it) {
			e := a.event(history.Expire, h, it)
			e.Channel = cmp.Or(it.from, h.Source)
			a.record(&e)
			a.ack(ctx, h, it)
			continue
		}
		if h.Ack == "before_work" {
			a.ack(ctx, h, it)
		}
		live = append(live, it)
	}
	return live
}

func (a *Actor) expired(h *Handler, it *Item) bool {
	if !it.InFlow() {
		return false
	}
	now := time.Now()
	return !it.Message.Expires.IsZero() && now.After(it.Message.Expires) ||
		h.ttl > 0 && now.Sub(it.Message.Time) > h.ttl
}

// attempt runs the steps once over all items; how it went stands in each item's failure.
func (a *Actor) attempt(ctx context.Context, h *Handler, items []*Item, n int32) {
	for _, it := range items {
		it.failure = nil
	}
	g := a.guards[h.guard]
	x := &run{a: a, h: h, attempt: n}
	begin, err := g.enter(ctx, a.now)
	if err != nil {
		x.failAll(items, err)
		if ctx.Err() != nil {
			return // given up while it waited for leave: never tried, so no row
		}
	} else {
		limited, cancel := g.limit(ctx)
		x.do(limited, items)
		cancel()
		g.leave(worst(items))
	}
	for _, it := range items {
		e := a.delivered(history.Attempt, h, it)
		e.Attempt = n
		a.end(&e, begin, it.failure)
		a.record(&e)
	}
}

// worst is the failure that a handler's breaker is told.
func worst(items []*Item) error {
	for _, it := range items {
		if it.failure != nil {
			return it.failure
		}
	}
	return nil
}

// conclude settles the items that are done with and returns those to be tried again.
func (a *Actor) conclude(ctx context.Context, h *Handler, items []*Item, n int) []*Item {
	again := items[:0]
	for _, it := range items {
		switch {
		case it.failure == nil:
			a.done(ctx, h, it)
		case it.failure.Reason == simulators.ReasonStopped:
			// it stays unsettled, so its broker gives it to another
		case n < h.attempts && !it.failure.Final(h.permanent):
			if h.RetryChannel() != "" {
				a.postpone(ctx, h, it, n)
				continue
			}
			again = append(again, it)
		default:
			a.giveUp(ctx, h, it, n)
		}
	}
	return again
}

// done is the end of an item whose steps all went well.
func (a *Actor) done(ctx context.Context, h *Handler, it *Item) {
	if a.Program.Sinks[it.Message.Flow] && it.InFlow() && !it.ended && a.gone.Load() == nil {
		a.Applied.Add(it.Message.Flow, it.Message.Number)
	}
	a.ack(ctx, h, it)
}

// giveUp is the end of an item whose attempts are used up, or whose failure is permanent: to the
// dead-letter channel where one is declared, else back to whoever gave it.
func (a *Actor) giveUp(ctx context.Context, h *Handler, it *Item, attempts int) {
	switch {
	case h.dead != nil && h.dead.Dropped:
		a.ack(ctx, h, it)
	case h.native && !it.settled:
		a.giveToBroker(ctx, h, it)
	case h.dead != nil && h.dead.Channel != "":
		if a.deadLetter(ctx, h, it, attempts) == nil {
			it.failure = nil
			a.ack(ctx, h, it)
		}
	case it.Delivery.Nack == nil:
		a.reject(h, it)
	case it.settled:
	default:
		pause := a.spread(it, h.Name, h.backoff, attempts)
		if pause == 0 {
			pause = redeliverAfter
		}
		if simulators.Wait(a.Stopping, pause) == nil {
			a.nack(ctx, h, it)
		}
	}
}

// reject records that a caller is told to not come again; a transient failure is only answered.
func (a *Actor) reject(h *Handler, it *Item) {
	if !it.failure.Final(h.permanent) {
		return
	}
	e := a.event(history.Reject, h, it)
	e.Outcome, e.Reason = history.Fail, it.failure.Reason
	a.record(&e)
}

// ack gives a delivery back as done. An acknowledgement that does not arrive makes the broker
// deliver again, which is the broker's and the next delivery's business.
func (a *Actor) ack(ctx context.Context, h *Handler, it *Item) {
	if it.settled || it.Delivery.Ack == nil || ctx.Err() != nil {
		return
	}
	it.settled = true
	if it.Delivery.Confirm != nil {
		a.confirm(ctx, h, it)
		return
	}
	a.settle(ctx, h, it, history.Ok, it.Delivery.Ack)
}

// confirm acknowledges a delivery. Its row is of the moment at which the broker has that, which may
// be long after the handler went on; of a replica that has crashed by then there is none.
func (a *Actor) confirm(ctx context.Context, h *Handler, it *Item) {
	e := a.delivered(history.Ack, h, it)
	if it.duplicate {
		e.Reason = reasonDuplicate
	}
	var once sync.Once
	told := func(err error) {
		once.Do(func() {
			e.At, e.Outcome = a.now(), history.Ok
			if f := simulators.Explain(err); f != nil {
				e.Outcome, e.Reason = f.Outcome, f.Reason
			}
			a.record(&e)
		})
	}
	it.Delivery.Confirm(told)
	if err := it.Delivery.Ack(ctx); err != nil {
		told(err)
	}
}

func (a *Actor) nack(ctx context.Context, h *Handler, it *Item) {
	it.settled, it.back = true, true
	a.settle(ctx, h, it, history.Fail, it.Delivery.Nack)
}

func (a *Actor) settle(
	ctx context.Context, h *Handler, it *Item, as history.Outcome, tell func(context.Context) error,
) {
	begin := a.now()
	err := tell(ctx)
	e := a.delivered(history.Ack, h, it)
	a.end(&e, begin, simulators.Explain(err))
	if err == nil {
		e.Outcome = as
		if it.duplicate {
			e.Reason = reasonDuplicate
		}
	}
	a.record(&e)
}

// Refuse acknowledges a delivery that is no envelope: nobody can handle it.
func (a *Actor) Refuse(ctx context.Context, h *Handler, d conn.Delivery) {
	e := history.New(history.Reject, a.now())
	e.Node, e.Replica, e.Handler, e.Wire = a.Program.Node.Name, a.Index, h.Name, h.wire
	e.Channel, e.Partition, e.Offset = h.Source, d.Partition, d.Offset
	e.Outcome, e.Reason = history.Fail, simulators.ReasonSchema
	if a.gone.Load() == nil {
		a.Env.Recorder.Record(&e)
	}
	d.Ack(ctx) // what comes again is refused again
}
