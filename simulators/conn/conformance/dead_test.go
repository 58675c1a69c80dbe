package conformance

import (
	"strconv"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/claims"
	"github.com/faultline-sim/faultline/topology/policy"
)

func deadProperties() []property {
	native := func(c claims.Broker) bool { return c.DeadLetter != "" }
	return []property{
		{name: "native dead-lettering after the declared deliveries", claimed: native, test: deadLetter},
		{name: "native dead-lettering over a crash",
			claimed: func(c claims.Broker) bool { return native(c) && c.Counts }, test: deadOverCrash},
		{name: "reject dead-letters at once",
			claimed: func(c claims.Broker) bool { return c.Rejects }, test: reject},
		{name: "no dead-lettering where none is declared", test: noDeadLetter},
		{name: "ttl", claimed: func(c claims.Broker) bool { return c.TTL != "" }, test: ttl},
	}
}

// native declares dead-lettering by the broker.
func (b *bench) native(ch *topology.Channel, dead string, attempts int) {
	ch.DeadLetter = &policy.DeadLetter{Attempts: attempts, Channel: "broker/" + dead, Native: true}
}

func (b *bench) attempts() int { return max(3, b.claims.LeastAttempts) }

func deadLetter(b *bench) {
	c := b.client("app")
	dead := b.channel(c, func(ch *topology.Channel) { ch.Groups = nil })
	channel := b.channel(c, func(ch *topology.Channel) { b.native(ch, dead, b.attempts()) })
	poison := numbered(13)
	in := b.subscribe(b.client("worker"), channel, "workers", func(d conn.Delivery) {
		if d.Message.ID() == poison.ID() {
			nack(d)
			return
		}
		ack(d)
	})
	b.publish(c, channel, append(several(0, 5, 0), poison)...)
	b.found(c, dead, poison)
	deliveries := 0
	for _, d := range in.now() {
		if d.Message.ID() == poison.ID() {
			deliveries++
		}
	}
	if deliveries != b.attempts() {
		b.Errorf("dead-lettered after %d deliveries, declared %d", deliveries, b.attempts())
	}
	b.deadFields(c, dead, poison)
}

// found waits until exactly these messages stand in a dead-letter channel, each once.
func (b *bench) found(c conn.Broker, dead string, want ...*message.Message) {
	b.Helper()
	b.eventually("the dead letter", func() (any, bool) {
		got := b.audited(c, dead)
		return got, cmp.Equal(got, once(want))
	})
}

// deadFields: a message that the broker dead-lettered carries what the protocol claims.
func (b *bench) deadFields(c conn.Broker, dead string, want *message.Message) {
	b.Helper()
	fields := map[string]string{
		"reason": message.HeaderReason, "attempts": message.HeaderAttempts,
		"origin": message.HeaderOrigin, "trace": "",
	}
	err := c.Audit(b.Context(), dead, func(m *message.Message) error {
		for _, field := range b.claims.DeadLetterFields {
			name, known := fields[field]
			switch {
			case !known:
				b.Errorf("field %q is claimed, and not one of those that are known", field)
			case field == "trace" && m.Trace != want.Trace:
				b.Errorf("trace is %x, want %x", m.Trace, want.Trace)
			case field != "trace" && m.Headers[name] == "":
				b.Errorf("header %q is claimed and missing: %v", name, m.Headers)
			}
		}
		if n, ok := m.Headers[message.HeaderAttempts]; ok && n != strconv.Itoa(b.attempts()) {
			b.Errorf("header attempts is %s, declared %d", n, b.attempts())
		}
		return nil
	})
	if err != nil {
		b.Error(err)
	}
}

// deadOverCrash: a consumer that dies of a message each time gets it no more than declared.
func deadOverCrash(b *bench) {
	c := b.client("app")
	dead := b.channel(c, func(ch *topology.Channel) { ch.Groups = nil })
	channel := b.channel(c, func(ch *topology.Channel) { b.native(ch, dead, b.attempts()) })
	b.publish(c, channel, numbered(1))
	for range b.attempts() {
		dying := b.client("worker")
		b.subscribe(dying, channel, "workers", keep).wait(1)
		dying.(conn.Crasher).Crash()
	}
	last := b.subscribe(b.client("worker"), channel, "workers", keep)
	b.found(c, dead, numbered(1))
	if n := len(last.now()); n > 0 {
		b.Errorf("delivered %d times more than declared", n)
	}
}

func reject(b *bench) {
	c := b.client("app")
	dead := b.channel(c, func(ch *topology.Channel) { ch.Groups = nil })
	channel := b.channel(c, func(ch *topology.Channel) { b.native(ch, dead, 10) })
	in := b.subscribe(b.client("worker"), channel, "workers", func(d conn.Delivery) {
		if d.Reject == nil {
			b.Error("a delivery of a natively dead-lettered channel cannot be rejected")
			return
		}
		if err := d.Reject(b.Context()); err != nil {
			b.Error(err)
		}
	})
	b.publish(c, channel, numbered(1))
	b.found(c, dead, numbered(1))
	if n := len(in.now()); n != 1 {
		b.Errorf("a rejected message was delivered %d times", n)
	}
}

// noDeadLetter: a message that always fails comes again for ever.
func noDeadLetter(b *bench) {
	c := b.client("app")
	channel := b.channel(c, nil)
	in := b.subscribe(b.client("worker"), channel, "workers", func(d conn.Delivery) {
		if d.Reject != nil {
			b.Error("a delivery of a channel without native dead-lettering can be rejected")
		}
		nack(d)
	})
	b.publish(c, channel, numbered(1))
	in.wait(b.attempts() + 5)
}

func ttl(b *bench) {
	least := max(b.claims.LeastTTL, time.Second)
	c := b.client("app")
	channel := b.channel(c, func(ch *topology.Channel) { ch.TTL = least })
	b.publish(c, channel, numbered(1))
	b.eventually("the message to expire", func() (any, bool) {
		n, err := c.Depth(b.Context(), channel, "workers")
		return n, err == nil && n == 0
	})
	in := b.subscribe(b.client("worker"), channel, "workers", nil)
	b.publish(c, channel, numbered(2))
	if got := ids(in.wait(1)); got[0] != numbered(2).ID() {
		b.Errorf("got %v, want only what has not expired", got)
	}
}
