package assertions

import (
	"fmt"
	"maps"
	"slices"

	"github.com/faultline-sim/faultline/assertions/history"
)

// Conservation judges that the sums agree: nothing vanishes and nothing appears.
//
// Definition: over all flows, offered = found + dead-lettered + expired + filtered + refused +
// unanswered, where refused and unanswered are those whose producer was told no, or nothing. And
// when the drain has ended, what the history holds for unsettled agrees with the brokers' own
// depth: a channel that is not empty means that something is still in flight.
//
// Evidence: as for delivery, and the gauges "depth" and "lag". Valid: messages were accepted and
// the sums agree. Invalid: they do not (the messages that make the difference are named lost or
// unexpected). Unknown: no messages, no end, shed events, messages in flight, or a broker that says
// it still holds messages when the history has all of them settled.
//
// It cannot see two errors that cancel out in one message's row. Cost: one pass over all rows.
// Source: Kirchhoff's current law, applied to messages.
func Conservation() Check {
	return Check{Name: "conservation", Property: "conservation",
		New: func(l *Ledger, _ Context) Checker { return &conservation{ledger: l} }}
}

type conservation struct{ ledger *Ledger }

func (c *conservation) Kinds() []history.Kind  { return nil }
func (c *conservation) Observe(*history.Event) {}

func (c *conservation) Verdict() Verdict {
	var r ruling
	r.complete(c.ledger)
	var offered, settled, refused, moving int
	for _, f := range c.ledger.flows {
		if f.size == 0 {
			continue
		}
		n := c.ledger.account(f, &r)
		offered += int(f.begun)
		refused += int(f.begun) - n.owed
		settled += n.owed - n.lost - n.inFlight
		moving += n.inFlight
		if n.unseen > 0 {
			r.lack("%s", insideOf(n.sink))
		}
	}
	if settled == 0 && r.found() == 0 {
		r.lack("accepted messages")
	}
	if moving > 0 {
		r.lack("a longer drain: %d messages were in flight at its end", moving)
	} else if where, n := c.standing(); n > 0 && r.found() == 0 {
		r.lack("agreement with the broker: %s still held %d messages when all were settled", where,
			n)
	}
	r.count("offered", offered, "messages")
	r.count("settled", settled, "messages")
	r.count("refused_or_unanswered", refused, "messages")
	r.count("in_flight", moving, "messages")
	return r.verdict("%d offered = %d settled + %d refused or unanswered%s",
		offered, settled, refused, also(offered-settled-refused))
}

// also names what is left over in a sum.
func also(rest int) string {
	if rest == 0 {
		return ""
	}
	return fmt.Sprintf(" + %d neither", rest)
}

// standing is the first channel with consumers that was not empty when the drain ended.
func (c *conservation) standing() (channel string, n int64) {
	byName := func(a, b backlog) int {
		return slices.Compare([]string{a.channel, a.group}, []string{b.channel, b.group})
	}
	for _, b := range slices.SortedFunc(maps.Keys(c.ledger.depths), byName) {
		if r := c.ledger.depths[b]; r.value > 0 {
			return b.channel, r.value
		}
	}
	return "", 0
}
