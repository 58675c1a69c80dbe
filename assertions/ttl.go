package assertions

import (
	"fmt"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
)

// TTL judges that old messages are dropped, and only old ones.
//
// Definition: at a handler with a TTL (its own, or its channel's), a message older than the TTL
// when it is received is expired and not worked on, and a message younger is not expired. Age
// counts from the intended send time; a tolerance of 50 ms lies on both sides.
//
// Evidence: Receive, Attempt and Expire rows of the handler. Valid: the handler received something
// that was too old, and kept to it. Untested: nothing was. Invalid: a message was worked on too late (handled-expired) or dropped too soon
// (expired-early). Unknown: events were shed.
//
// It cannot see what a broker drops by itself. Cost: one look at the message's row an event.
// Source: AMQP 0-9-1 per-message TTL as RabbitMQ documents it.
func TTL(node, handler string) Check {
	name := node + "." + handler
	return Check{Name: named("ttl", name), Property: "ttl", Node: node,
		New: func(l *Ledger, c Context) Checker {
			k := &ttlChecker{ledger: l, node: node, handler: handler}
			if n := c.Topology.Node(node); n != nil && n.Handler(handler) != nil {
				k.ttl = int64(TTLOf(c.Topology, n.Handler(handler)))
			}
			return k
		}}
}

// ttlTolerance is how far an age may be off: the handler reads its clock a little before or after
// the row that says so.
const ttlTolerance = int64(50 * time.Millisecond)

type ttlChecker struct {
	ledger        *Ledger
	node, handler string
	ttl           int64
	r             ruling
	received      int
	expired       int
	old           int   // received, or worked on, when they were older than the TTL
	oldest        int64 // ns
}

// TTLOf is the TTL that a handler declares, itself or by the channel it consumes; 0 is none.
func TTLOf(t *topology.Topology, h *topology.Handler) time.Duration {
	if h.Policy.TTL > 0 {
		return h.Policy.TTL
	}
	if c := t.Channel(h.Source()); c != nil {
		return c.TTL
	}
	return 0
}

func (c *ttlChecker) Kinds() []history.Kind {
	return []history.Kind{history.Receive, history.Attempt, history.Expire}
}

func (c *ttlChecker) Observe(e *history.Event) {
	if e.Node != c.node || e.Handler != c.handler || c.ledger.now.flow == nil {
		return
	}
	m := c.ledger.now.flow.rows.at(e.Message)
	if m.flags&begun == 0 {
		return
	}
	age := e.At - e.Duration - m.sent
	c.oldest = max(c.oldest, age)
	c.old += one(age > c.ttl)
	switch {
	case e.Kind == history.Receive:
		c.received++
	case e.Kind == history.Expire:
		c.expired++
		if age < c.ttl-ttlTolerance {
			c.wrong(e, "expired-early", age)
		}
	case e.Attempt <= 1 && age > c.ttl+ttlTolerance:
		c.wrong(e, "handled-expired", age)
	}
}

func (c *ttlChecker) wrong(e *history.Event, kind string, age int64) {
	c.r.anomaly(Anomaly{Kind: kind, Flow: e.Flow, Message: e.Message, Where: c.node + "." +
		c.handler,
		Text: fmt.Sprintf("%s-%d was %v old at %v, the limit is %v",
			e.Flow, e.Message, seconds(age), seconds(e.At), time.Duration(c.ttl))})
}

func (c *ttlChecker) Verdict() Verdict {
	c.r.sound(c.ledger)
	if c.old == 0 {
		c.r.trial("a message older than %v at %s.%s, of %d received the oldest was %v",
			time.Duration(c.ttl), c.node, c.handler, c.received, seconds(c.oldest))
	}
	c.r.count("received", c.received, "messages")
	c.r.count("expired", c.expired, "messages")
	return c.r.verdict("%d of %d messages expired after %v", c.expired, c.received,
		time.Duration(c.ttl))
}
