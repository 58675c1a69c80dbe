package program

import (
	"context"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
)

// Again is the item that a delivery of the handler's retry channel stands for, and when it is due.
// Its message is as it came first: what the way over the channel put on it is the item's.
func (h *Handler) Again(d conn.Delivery) (it *Item, due time.Time) {
	told := d.Message.Headers
	due, _ = time.Parse(time.RFC3339Nano, told[message.HeaderDue]) // without one it is due now
	it = &Item{
		Delivery: d,
		before:   d.Message.Attempt,
		from:     h.RetryChannel(),
		origin:   told[message.HeaderOrigin],
	}
	it.firstFail, _ = time.Parse(time.RFC3339Nano, told[message.HeaderFirstFailure])
	it.Message = d.Message.With(func(m *message.Message) { m.Attempt, m.Headers = 0, nil })
	return it, due
}

// postpone puts an item into its handler's retry channel until its next attempt is due, and gives the
// delivery back as done once it stands there.
func (a *Actor) postpone(ctx context.Context, h *Handler, it *Item, attempts int) {
	due := time.Now().Add(a.spread(it, h.Name, h.backoff, attempts))
	m := setAside(h, it, attempts)
	m.Headers[message.HeaderDue] = due.UTC().Format(time.RFC3339Nano)
	err := a.putAside(ctx, h, it, aside{
		kind: history.Publish, ref: h.RetryChannel(), message: m,
		row: func(e *history.Event, n int) { e.Attempt = int32(n) },
	})
	if err == nil {
		it.failure = nil
		a.ack(ctx, h, it)
	}
}
