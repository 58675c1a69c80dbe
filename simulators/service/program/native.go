package program

import (
	"context"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
)

// count is which delivery of its message to the handler an item is, from 1: as the broker counts
// where it dead-letters by that, else as the handler has seen them.
func (h *Handler) count(it *Item) int32 {
	seen := int32(h.delivered.Add(it.Message.Flow, it.Message.Number))
	if h.native && it.Delivery.Attempt > 0 {
		return int32(it.Delivery.Attempt)
	}
	return seen
}

// giveToBroker is the end of a delivery that failed, where the broker dead-letters: it gets the
// message back after the declared pause, and moves it when that was the last delivery allowed. A
// message that was refused for good is handed to its dead-lettering at once, or, by a broker that
// cannot be told so, published to the dead-letter channel.
func (a *Actor) giveToBroker(ctx context.Context, h *Handler, it *Item) {
	final := it.failure.Final(h.permanent)
	last := int(it.given) >= h.dead.Attempts
	switch {
	case final && it.Delivery.Reject != nil:
		it.settled = true
		a.settle(ctx, h, it, history.Fail, it.Delivery.Reject)
		a.movedByBroker(h, it)
	case final && !last:
		if a.deadLetter(ctx, h, it, int(it.given)) == nil {
			it.failure = nil
			a.ack(ctx, h, it)
		}
	default:
		if simulators.Wait(a.Stopping, a.spread(it, h.Name, h.backoff, int(it.given))) != nil {
			return
		}
		a.nack(ctx, h, it)
		if last {
			it.back = false
			a.movedByBroker(h, it)
		}
	}
}

// movedByBroker records that the broker has a message to dead-letter. Whether it did is for the
// audit to find.
func (a *Actor) movedByBroker(h *Handler, it *Item) {
	e := a.event(history.DeadLetter, h, it)
	e.Channel = h.dead.Channel
	e.Attempt, e.Reason = it.given, it.failure.Reason
	a.record(&e)
	it.failure = nil
}
