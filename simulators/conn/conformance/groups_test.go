package conformance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/claims"
)

func groupProperties() []property {
	return []property{
		{name: "competing consumers",
			claimed: func(c claims.Broker) bool { return c.Groups }, test: competing},
		{name: "fan-out to groups",
			claimed: func(c claims.Broker) bool { return c.FanOut }, test: fanOut},
		{name: "a declared group misses nothing",
			claimed: func(c claims.Broker) bool { return c.Early }, test: early},
		{name: "order per key",
			claimed: func(c claims.Broker) bool { return c.Order != "" }, test: order},
		{name: "order per key as members come and go",
			claimed: func(c claims.Broker) bool { return c.Order != "" && c.Early }, test: orderInChange},
		{name: "a crashed consumer's messages go to another",
			claimed: func(c claims.Broker) bool { return c.Early }, test: crash},
		{name: "an urgent message overtakes others",
			claimed: func(c claims.Broker) bool { return c.Priority != "" }, test: priority},
		{name: "a group is given the flows it asks for",
			claimed: func(c claims.Broker) bool { return c.Filters != "" }, test: filters},
		{name: "200 channels", test: manyChannels},
		{name: "declaring again changes nothing", test: declareAgain},
	}
}

// competing: each message is handled by one of two, and both have some.
func competing(b *bench) {
	c := b.client("app")
	channel := b.channel(c, b.parts)
	to := func(int) string { return channel }
	if b.claims.Wildcards { // a topic is one member's
		channel = b.channel(c, func(ch *topology.Channel) { ch.Ref += "/:id" })
		name := strings.TrimSuffix(channel, ":id")
		to = func(i int) string { return name + fmt.Sprint("device-", i%10) }
	}
	in := []*inbox{
		b.subscribe(b.client("worker"), channel, "workers", nil),
		b.subscribe(b.client("worker"), channel, "workers", nil),
	}
	// Shares are balanced a while after the second has come; until then the first may have all.
	var sent int
	b.eventually("both to be given messages", func() (any, bool) {
		for _, m := range several(sent, 10, 10) {
			b.publish(c, to(int(m.Number)), m)
		}
		sent += 10
		return fmt.Sprint(len(in[0].now()), " and ", len(in[1].now())),
			len(in[0].now()) > 0 && len(in[1].now()) > 0
	})
	want := idsOf(several(0, sent, 10))
	b.eventually("all to be given out", func() (any, bool) {
		got := distinct(in[0].now(), in[1].now())
		return len(got), slices.Equal(got, want)
	})
}

// parts makes a channel as parallel as its broker lets it be, ordered by key.
func (b *bench) parts(ch *topology.Channel) {
	ch.Key = "device"
	if b.claims.Parts {
		ch.Parallel = 4
	}
}

func fanOut(b *bench) {
	c := b.client("app")
	channel := b.channel(c, func(ch *topology.Channel) { ch.Groups = []string{"mail", "points"} })
	mail := b.subscribe(b.client("mail"), channel, "mail", nil)
	points := b.subscribe(b.client("points"), channel, "points", nil)
	sent := several(0, 10, 0)
	b.publish(c, channel, sent...)
	for name, in := range map[string]*inbox{"mail": mail, "points": points} {
		if diff := cmp.Diff(idsOf(sent), distinct(in.wait(10))); diff != "" {
			b.Errorf("messages of group %s (-sent +got):\n%s", name, diff)
		}
	}
}

func early(b *bench) {
	c := b.client("app")
	channel := b.channel(c, b.parts)
	sent := several(0, 10, 10)
	b.publish(c, channel, sent...)
	got := b.subscribe(b.client("worker"), channel, "workers", nil).wait(10)
	if diff := cmp.Diff(idsOf(sent), distinct(got)); diff != "" {
		b.Errorf("messages (-sent +got):\n%s", diff)
	}
}

func order(b *bench) {
	const messages, keys = 300, 10
	c := b.client("app")
	channel := b.channel(c, b.parts)
	in := b.subscribe(b.client("worker"), channel, "workers", nil)
	b.publish(c, channel, several(0, messages, keys)...)
	got := in.until("all messages", func(all []conn.Delivery) bool {
		return len(distinct(all)) == messages
	})
	b.inOrder(got)
}

// inOrder: the first deliveries of a key's messages are in the order of their numbers.
func (b *bench) inOrder(all []conn.Delivery) {
	b.Helper()
	last, seen := map[string]int64{}, map[string]bool{}
	for _, d := range all {
		m := d.Message
		if seen[m.ID()] {
			continue
		}
		seen[m.ID()] = true
		if before, known := last[m.Key]; known && m.Number < before {
			b.Errorf("key %s: message %d comes after %d", m.Key, m.Number, before)
		}
		last[m.Key] = m.Number
	}
}

// orderInChange: a second member joins while messages flow, and the first leaves in order.
func orderInChange(b *bench) {
	const keys = 8
	c := b.client("app")
	channel := b.channel(c, b.parts)
	all := b.subscribe(b.client("worker"), channel, "workers", nil)
	leaver := b.client("worker")
	sent := 0
	more := func(n int) {
		b.publish(c, channel, several(sent, n, keys)...)
		sent += n
	}
	more(40)
	all.wait(1)
	second := b.subscribeInto(all, leaver, channel)
	for range 10 {
		more(20)
	}
	second()
	more(40)
	got := all.until("all messages", func(ds []conn.Delivery) bool {
		return len(distinct(ds)) == sent
	})
	b.inOrder(got)
}

// subscribeInto adds a member whose deliveries come to an inbox that is there; the returned function
// closes it in order.
func (b *bench) subscribeInto(in *inbox, c conn.Broker, channel string) (leave func()) {
	b.Helper()
	err := c.Subscribe(b.Context(), conn.Subscription{
		Channel: channel, Group: "workers", QoS: 1, Handle: in.take,
	})
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	}
}

func crash(b *bench) {
	c := b.client("app")
	channel := b.channel(c, b.parts)
	b.publish(c, channel, several(0, 20, 20)...)
	dying := b.client("worker")
	held := b.subscribe(dying, channel, "workers", keep)
	held.wait(20)
	other := b.subscribe(b.client("worker"), channel, "workers", nil)
	dying.(conn.Crasher).Crash()
	begun := time.Now()
	other.until("all 20", func(all []conn.Delivery) bool { return len(distinct(all)) == 20 })
	b.Logf("taken over %v after the crash, ack deadline %v",
		time.Since(begun).Round(time.Millisecond), b.claims.AckDeadline)
}

func manyChannels(b *bench) {
	const n = 200
	c := b.client("app")
	var all []*topology.Channel
	for i := range n {
		all = append(all, &topology.Channel{
			Ref: fmt.Sprintf("broker/%s/채널.%d %%", b.name, i), Groups: []string{"workers"}, Parallel: 1,
		})
	}
	b.declare(c, all...)
	for i, ch := range all {
		b.publish(c, topology.ChannelName(ch.Ref), numbered(int64(i)))
	}
	if !b.claims.Early {
		return
	}
	worker := b.client("worker")
	for i := 0; i < n; i += 20 {
		got := b.subscribe(worker, topology.ChannelName(all[i].Ref), "workers", nil).wait(1)
		if got[0].Message.Number != int64(i) {
			b.Errorf("channel %d has message %d", i, got[0].Message.Number)
		}
	}
}

func declareAgain(b *bench) {
	c := b.client("app")
	ch := &topology.Channel{Ref: "broker/" + b.name, Groups: []string{"workers"}, Parallel: 1}
	b.declare(c, ch)
	in := b.subscribe(b.client("worker"), topology.ChannelName(ch.Ref), "workers", nil)
	b.publish(c, topology.ChannelName(ch.Ref), numbered(1))
	b.declare(b.client("other"), ch, ch)
	b.publish(c, topology.ChannelName(ch.Ref), numbered(2))
	want := idsOf(several(1, 2, 0))
	if diff := cmp.Diff(want, distinct(in.wait(2))); diff != "" {
		b.Errorf("messages (-sent +got):\n%s", diff)
	}
}

// priority: what stands in a queue is delivered by urgency, then in the order it came.
func priority(b *bench) {
	c := b.client("app")
	channel := b.channel(c, func(ch *topology.Channel) { ch.Priority = "urgency" })
	var want []string
	for i, urgency := range []int{0, 1, 9, 1, 5, 0} {
		b.publish(c, channel, numbered(int64(i)).With(func(m *message.Message) {
			m.Key, m.KeySeq, m.Data = "", 0, fmt.Appendf(nil, `{"urgency":%d}`, urgency)
		}))
	}
	for _, i := range []int64{2, 4, 1, 3, 0, 5} {
		want = append(want, numbered(i).ID())
	}
	in := b.subscribeTo(b.client("worker"),
		conn.Subscription{Channel: channel, Group: "workers", Prefetch: 1}, nil)
	if diff := cmp.Diff(want, ids(in.wait(6))); diff != "" {
		b.Errorf("deliveries (-want +got):\n%s", diff)
	}
}

// filters: a group with a filter is given messages of its flows only, one without has all.
func filters(b *bench) {
	c := b.client("app")
	channel := b.channel(c, func(ch *topology.Channel) {
		ch.Groups = []string{"mail", "all"}
		ch.Filters = map[string][]string{"mail": {"alert", "order"}}
	})
	mail := b.subscribe(b.client("mail"), channel, "mail", nil)
	all := b.subscribe(b.client("all"), channel, "all", nil)
	sent := map[string]*message.Message{}
	for i, flow := range []string{"telemetry", "alert", "telemetry", "order", "telemetry"} {
		m := numbered(int64(i)).With(func(m *message.Message) { m.Flow = flow })
		sent[m.ID()] = m
		b.publish(c, channel, m)
	}
	all.wait(len(sent))
	if diff := cmp.Diff([]string{"alert-1", "order-3"}, distinct(mail.wait(2))); diff != "" {
		b.Errorf("messages of the group with a filter (-want +got):\n%s", diff)
	}
	if n := len(mail.now()); n != 2 {
		b.Errorf("the group with a filter was given %d messages, want 2", n)
	}
}
