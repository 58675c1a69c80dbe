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

// deadLetterBackoff is how a dead-letter publish that does not work is repeated: for as long as
// the replica lives, because the delivery is neither done nor to be tried again.
var deadLetterBackoff = policy.Backoff{
	Initial: 50 * time.Millisecond, Factor: 2, Max: time.Second, Jitter: 0.2,
}

// deadLetter publishes an item to its handler's dead-letter channel and returns when that was
// answered; an error means that the replica stopped before. Every try is a row.
func (a *Actor) deadLetter(ctx context.Context, h *Handler, it *Item, attempts int) error {
	ref := h.dead.Channel
	m := deadLettered(h, it, attempts)
	channel := fill(topology.ChannelName(ref), m.Subject)
	broker, err := a.broker(ref)
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		begin := a.now()
		_, err := broker.Publish(ctx, channel, m)
		e := a.event(history.DeadLetter, h, it)
		e.Channel, e.Wire = ref, a.Program.WireTo(topology.ChannelNode(ref))
		a.end(&e, begin, simulators.Explain(err))
		e.Attempt, e.Reason = int32(attempts), it.failure.Reason
		a.record(&e)
		if err == nil {
			return nil
		}
		if err := simulators.Wait(a.Stopping, a.spread(deadLetterBackoff, n)); err != nil {
			return err
		}
	}
}

// deadLettered is the item's message with what happened to it in its headers.
func deadLettered(h *Handler, it *Item, attempts int) *message.Message {
	origin := h.Name
	if h.Source != "" {
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
