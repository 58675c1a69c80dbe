package program

import (
	"context"
	"encoding/hex"
	"maps"
	"strconv"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
)

// asideBackoff is how a publish to a dead-letter or retry channel that does not work is repeated: for
// as long as the replica lives, because the delivery is neither done nor to be tried again.
var asideBackoff = policy.Backoff{
	Initial: 50 * time.Millisecond, Factor: 2, Max: time.Second, Jitter: 0.2,
}

// deadLetter publishes an item to its handler's dead-letter channel and returns when that was
// answered; an error means that the replica stopped before. Every try is a row.
func (a *Actor) deadLetter(ctx context.Context, h *Handler, it *Item, attempts int) error {
	return a.putAside(ctx, h, it, aside{
		kind: history.DeadLetter, ref: h.dead.Channel, message: setAside(h, it, attempts),
		row: func(e *history.Event, _ int) {
			e.Attempt, e.Reason = int32(attempts), it.failure.Reason
		},
	})
}

// aside is a message on its way to a channel in which it is set aside.
type aside struct {
	kind    history.Kind // of the row of each try
	ref     string
	message *message.Message
	row     func(e *history.Event, n int) // completes the row of the n-th try
}

// putAside publishes until it is answered; an error means that the replica stopped before.
func (a *Actor) putAside(ctx context.Context, h *Handler, it *Item, to aside) error {
	channel := fill(topology.ChannelName(to.ref), to.message.Subject)
	broker, err := a.broker(to.ref)
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		begin := a.now()
		_, err := broker.Publish(ctx, channel, to.message)
		e := a.event(to.kind, h, it)
		e.Channel, e.Wire = to.ref, a.Program.WireTo(topology.ChannelNode(to.ref))
		a.end(&e, begin, simulators.Explain(err))
		to.row(&e, n)
		a.record(&e)
		if err == nil {
			return nil
		}
		if err := simulators.Wait(a.Stopping, a.spread(it, h.Name+" aside", asideBackoff, n)); err != nil {
			return err
		}
	}
}

// setAside is the item's message with what happened to it in its headers.
func setAside(h *Handler, it *Item, attempts int) *message.Message {
	origin := it.origin
	switch {
	case origin != "":
	case h.Source == "":
		origin = h.Name
	default:
		origin = topology.ChannelNode(h.Source) + "/" + it.Delivery.Channel
	}
	headers := map[string]string{
		message.HeaderReason:       it.failure.Reason,
		message.HeaderAttempts:     strconv.Itoa(attempts),
		message.HeaderOrigin:       origin,
		message.HeaderFirstFailure: it.firstFail.UTC().Format(time.RFC3339Nano),
		message.HeaderLastFailure:  it.lastFail.UTC().Format(time.RFC3339Nano),
		message.HeaderTrace:        hex.EncodeToString(it.Message.Trace[:]),
	}
	return it.Message.With(func(m *message.Message) {
		m.Attempt = attempts
		if m.Headers == nil {
			m.Headers = headers
			return
		}
		maps.Copy(m.Headers, headers)
	})
}
