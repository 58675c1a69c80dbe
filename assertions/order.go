package assertions

import (
	"fmt"

	"github.com/faultline-sim/faultline/assertions/history"
)

// Order judges that messages of one key reach each sink in the order they were sent.
//
// Definition: per key and sink, of two messages of which the first was answered to its producer before
// the second was sent, the first arrives first. Messages that were sent while an earlier one of their key
// was not answered yet have no order between them. A derived message is held to the order of births.
// Redelivered copies of a message that the sink has seen, and messages that an operator redrove, stand
// aside and are counted.
//
// Evidence: Produce rows, and the events by which a message arrives at a sink (Store, Attempt or Receive
// there). Valid: two such messages of one key were under way at once, and none went back. Untested: no
// two were, so that nothing could overtake. Invalid: one came after a later one of its key (reordered).
// Unknown: no message was seen to arrive, or events were shed.
//
// It cannot see the order inside a store whose rows carry no time, nor messages without a sequence.
// Cost: one map look-up an arrival; a few words a key and sink, nothing a message.
// Source: Kafka's per-partition and SQS FIFO's per-group ordering.
func Order(flow string) Check {
	return Check{Name: named("order", flow), Property: "order", Flow: flow,
		New: func(l *Ledger, _ Context) Checker {
			return &order{ledger: l, flow: flow, heads: map[lane]head{}}
		}}
}

type order struct {
	ledger *Ledger
	flow   string
	heads  map[lane]head
	r      ruling
	n      struct{ arrivals, compared, tried, copies, redriven, reordered int }
}

// lane is the arrivals of one key at one leg; head the latest of them by sequence.
type lane struct {
	leg int
	key string
}

type head struct{ seq, message, at int64 }

func (c *order) Kinds() []history.Kind {
	return []history.Kind{history.Store, history.Attempt, history.Receive, history.Publish}
}

func (c *order) Observe(e *history.Event) {
	now := &c.ledger.now
	if now.leg < 0 || e.KeySeq < 0 || e.Flow != c.flow {
		return
	}
	c.n.arrivals++
	if !now.new {
		c.n.copies++
		return
	}
	if now.flow.rows.at(e.Message).redrives > 0 {
		c.n.redriven++
		return
	}
	k := lane{now.leg, e.Key}
	last, seen := c.heads[k]
	if seen && e.KeySeq < last.seq {
		if c.ordered(e.Message, last.message) {
			c.n.compared++
			c.n.tried++
			c.n.reordered++
			c.back(e, last)
		}
		return
	}
	if seen && c.ordered(last.message, e.Message) {
		c.n.compared++
		c.n.tried += one(now.flow.rows.at(e.Message).sent < last.at)
	}
	c.heads[k] = head{e.KeySeq, e.Message, e.At}
}

// ordered says that there is an order between two messages of a key: the first was answered before the
// second was sent. Of derived ones the births are all that is known.
func (c *order) ordered(first, second int64) bool {
	rows := &c.ledger.now.flow.rows
	a, b := rows.at(first), rows.at(second)
	if a.flags&derived != 0 {
		return true
	}
	return a.flags&toldOk != 0 && a.sent+1000*int64(a.answered) <= b.sent
}

func (c *order) back(e *history.Event, last head) {
	sink := c.ledger.now.flow.route.legs[c.ledger.now.leg].name()
	c.r.anomaly(Anomaly{Kind: "reordered", Flow: c.flow, Message: e.Message, Where: sink,
		Text: fmt.Sprintf("%s-%d (key %q, sequence %d) reached %s at %v, after %s-%d (%d) at %v",
			c.flow, e.Message, e.Key, e.KeySeq, sink, seconds(e.At),
			c.flow, last.message, last.seq, seconds(last.at))})
}

func (c *order) Verdict() Verdict {
	c.r.sound(c.ledger)
	switch {
	case c.n.arrivals == 0:
		c.r.lack("messages seen to arrive at a sink of flow %q", c.flow)
	case c.n.tried == 0:
		c.r.trial("two messages of one key of flow %q under way at once, the first answered before the "+
			"second was sent", c.flow)
	}
	c.r.count("compared", c.n.compared, "messages")
	c.r.count("lanes", len(c.heads), "keys")
	c.r.count("redelivered", c.n.copies, "messages")
	c.r.count("redriven", c.n.redriven, "messages")
	c.r.count("reordered", c.n.reordered, "messages")
	return c.r.verdict("%d arrivals of %d keys in order, %d redelivered and %d redriven aside",
		c.n.compared-c.n.reordered, len(c.heads), c.n.copies, c.n.redriven)
}
