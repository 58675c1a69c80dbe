package assertions

import (
	"fmt"

	"github.com/faultline-sim/faultline/assertions/history"
)

// Order judges that messages of one key reach each sink in the order they were sent.
//
// Definition: per key and sink, sequence numbers never go back. Redelivered copies of a message
// that the sink has seen, and messages that an operator redrove, stand aside and are counted.
//
// Evidence: the events by which a message arrives at a sink (Store, Attempt or Receive there).
// Valid: at least two messages of one key arrived at a sink and none went back. Invalid: one came
// after a later one of its key (reordered). Unknown: no key had two messages, or events were shed.
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
	n      struct{ arrivals, compared, copies, redriven, reordered int }
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
	if seen {
		c.n.compared++
	}
	if seen && e.KeySeq < last.seq {
		c.n.reordered++
		c.back(e, last)
		return
	}
	c.heads[k] = head{e.KeySeq, e.Message, e.At}
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
	if c.n.compared == 0 {
		c.r.lack("two messages of one key that reached a sink of flow %q", c.flow)
	}
	c.r.count("compared", c.n.compared, "messages")
	c.r.count("lanes", len(c.heads), "keys")
	c.r.count("redelivered", c.n.copies, "messages")
	c.r.count("redriven", c.n.redriven, "messages")
	c.r.count("reordered", c.n.reordered, "messages")
	return c.r.verdict("%d arrivals of %d keys in order, %d redelivered and %d redriven aside",
		c.n.compared-c.n.reordered, len(c.heads), c.n.copies, c.n.redriven)
}
