package conformance

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/claims"
)

func deliveryProperties() []property {
	return []property{
		{name: "publish and consume", test: publishAndConsume},
		{name: "envelope and headers", test: envelope},
		{name: "large, empty, binary and unicode bodies", test: bodies},
		{name: "ack is for good",
			claimed: func(c claims.Broker) bool { return c.Early }, test: ackIsForGood},
		{name: "nack is delivered again", test: nackComesAgain},
		{name: "deliveries are counted",
			claimed: func(c claims.Broker) bool { return c.Counts }, test: counted},
		{name: "prefetch bounds what is unsettled", test: prefetch},
		{name: "publishers at once", test: publishersAtOnce},
		{name: "transient channels",
			claimed: func(c claims.Broker) bool { return c.Transient }, test: transient},
	}
}

func publishAndConsume(b *bench) {
	c := b.client("app")
	channel := b.channel(c, nil)
	in := b.subscribe(b.client("worker"), channel, "workers", nil)
	sent := several(0, 20, 0)
	b.publish(c, channel, sent...)
	got := in.wait(len(sent))
	if diff := cmp.Diff(idsOf(sent), distinct(got)); diff != "" {
		b.Errorf("messages (-sent +got):\n%s", diff)
	}
	for _, d := range got {
		if d.Channel != channel || d.Redelivered && len(got) == len(sent) {
			b.Errorf("delivery of %s from %q, redelivered %v", d.Message.ID(), d.Channel, d.Redelivered)
		}
	}
}

func envelope(b *bench) {
	full := numbered(7).With(func(m *message.Message) {
		m.Flow, m.Key, m.Subject, m.Source = "주문-온도", "장치/17 %2F", "김:*?[a]'\"\\", "device.hw/도깨비"
		m.Headers = map[string]string{"reason": "schema: 온도 \n", "attempts": "3", "빈": "값 = & %"}
		m.ParentFlow, m.ParentNumber, m.Attempt = "telemetry", 7, 2
		m.Expires = m.Time.AddDate(1, 0, 0)
	})
	c := b.client("app")
	channel := b.channel(c, nil)
	in := b.subscribe(b.client("worker"), channel, "workers", nil)
	for _, want := range []*message.Message{full, numbered(8)} {
		n := len(in.now())
		b.publish(c, channel, want)
		d := in.wait(n + 1)[n]
		if d.Err != nil {
			b.Fatal(d.Err)
		}
		if diff := cmp.Diff(want, d.Message, cmp.Comparer(bytes.Equal)); diff != "" {
			b.Errorf("message (-published +delivered):\n%s", diff)
		}
	}
}

func bodies(b *bench) {
	large := min(b.claims.MaxMessage, 1_000_000)
	all := []*message.Message{
		numbered(0).With(func(m *message.Message) { m.Data = nil }),
		numbered(1).With(func(m *message.Message) { m.Data = []byte{0, 0xff, '\'', '\n', 0xc3, 0x28} }),
		numbered(2).With(func(m *message.Message) { m.Data = []byte(`{"이름":"도깨비 👹\u0000"}`) }),
		numbered(3).With(func(m *message.Message) { m.Data = bytes.Repeat([]byte("x"), large) }),
		numbered(4).With(func(m *message.Message) { m.Data = bytes.Repeat([]byte{0xfe}, large/2) }),
	}
	c := b.client("app")
	channel := b.channel(c, nil)
	in := b.subscribe(b.client("worker"), channel, "workers", nil)
	b.publish(c, channel, all...)
	got := map[string]*message.Message{}
	for _, d := range in.until("all bodies", func(all []conn.Delivery) bool {
		return len(distinct(all)) >= 5
	}) {
		got[d.Message.ID()] = d.Message
	}
	for _, want := range all {
		if m := got[want.ID()]; m == nil || !bytes.Equal(m.Data, want.Data) {
			b.Errorf("body of %s changed", want.ID())
		}
	}
}

// ackIsForGood: what the client says that the broker has is given to nobody again, also where the
// client crashes then. Of a broker that answers no acknowledgement a client says when it was sent,
// and goes in order here.
func ackIsForGood(b *bench) {
	c := b.client("app")
	channel := b.channel(c, nil)
	worker := b.client("worker")
	told := make(chan error, 10)
	in := b.subscribe(worker, channel, "workers", func(d conn.Delivery) { confirm(b, d, told) })
	b.publish(c, channel, several(0, 10, 0)...)
	in.wait(10)
	for range 10 {
		if err := <-told; err != nil {
			b.Errorf("confirmed with %v", err)
		}
	}
	if b.claims.Counted {
		b.emptied(c, channel, "workers")
	}
	if crasher, ok := worker.(conn.Crasher); ok && b.protocol != "amqp" && b.protocol != "mqtt" {
		crasher.Crash()
	}
	if err := worker.Close(); err != nil {
		b.Fatal(err)
	}
	late := b.subscribe(b.client("worker"), channel, "workers", nil)
	b.publish(c, channel, several(10, 1, 0)...)
	got := late.until("the last message", func(all []conn.Delivery) bool {
		return slices.Contains(ids(all), numbered(10).ID())
	})
	if b.claims.Counted && len(got) != 1 {
		b.Errorf("after all was acknowledged %v were delivered again", ids(got[:len(got)-1]))
	}
}

// emptied waits until a group has nothing left to do.
func (b *bench) emptied(c conn.Broker, channel, group string) {
	b.Helper()
	b.eventually("an empty channel", func() (any, bool) {
		n, err := c.Depth(b.Context(), channel, group)
		return fmt.Sprint(n, " ", err), err == nil && n == 0
	})
}

// confirm acknowledges a delivery and says when the broker has that.
func confirm(b *bench, d conn.Delivery, told chan<- error) {
	if d.Confirm == nil {
		told <- d.Ack(b.Context())
		return
	}
	d.Confirm(func(err error) { told <- err })
	if err := d.Ack(b.Context()); err != nil {
		b.Errorf("acknowledge %s: %v", d.Message.ID(), err)
	}
}

func nackComesAgain(b *bench) {
	c := b.client("app")
	channel := b.channel(c, nil)
	var mu sync.Mutex
	refused := map[string]bool{}
	in := b.subscribe(b.client("worker"), channel, "workers", func(d conn.Delivery) {
		mu.Lock()
		again := refused[d.Message.ID()]
		refused[d.Message.ID()] = true
		mu.Unlock()
		if again {
			ack(d)
			return
		}
		nack(d)
	})
	sent := several(0, 5, 0)
	b.publish(c, channel, sent...)
	got := in.wait(10)
	if diff := cmp.Diff(idsOf(sent), distinct(got)); diff != "" {
		b.Errorf("messages (-sent +got):\n%s", diff)
	}
	seen := map[string]bool{}
	for _, d := range got {
		if d.Redelivered != seen[d.Message.ID()] {
			b.Errorf("%s: redelivered is %v, it was delivered before: %v",
				d.Message.ID(), d.Redelivered, seen[d.Message.ID()])
		}
		seen[d.Message.ID()] = true
	}
}

// counted: the broker's own count of deliveries, which a crash of the consumer does not reset.
func counted(b *bench) {
	c := b.client("app")
	dead := b.channel(c, func(ch *topology.Channel) { ch.Groups = nil })
	channel := b.channel(c, func(ch *topology.Channel) { b.native(ch, dead, 10) })
	worker := b.client("worker")
	in := b.subscribe(worker, channel, "workers", func(d conn.Delivery) {
		if d.Attempt < 3 {
			nack(d)
		}
	})
	b.publish(c, channel, numbered(1))
	got := in.wait(3)
	worker.(conn.Crasher).Crash()
	after := b.subscribe(b.client("worker"), channel, "workers", nil).wait(1)
	var counts []int
	for _, d := range append(got, after[0]) {
		counts = append(counts, d.Attempt)
	}
	if diff := cmp.Diff([]int{1, 2, 3, 4}, counts); diff != "" {
		b.Errorf("attempts as the broker counts them (-want +got):\n%s", diff)
	}
}

func prefetch(b *bench) {
	c := b.client("app")
	channel := b.channel(c, nil)
	in := b.subscribeTo(b.client("worker"),
		conn.Subscription{Channel: channel, Group: "workers", Prefetch: 4}, keep)
	b.publish(c, channel, several(0, 24, 0)...)
	held := in.wait(4)
	// All that is published has reached the broker; each settled delivery makes room for one more.
	for n := 4; n < 12; n++ {
		if got := len(in.now()); got > n {
			b.Fatalf("%d deliveries are unsettled at once, at most 4 were asked for", got-n+4)
		}
		held = in.wait(n)
		ack(held[n-4])
	}
	in.wait(12)
}

func publishersAtOnce(b *bench) {
	const publishers, apiece = 16, 25
	c := b.client("app")
	channel := b.channel(c, nil)
	in := b.subscribe(b.client("worker"), channel, "workers", nil)
	var group sync.WaitGroup
	for p := range publishers {
		group.Go(func() {
			for i := range apiece {
				if _, err := c.Publish(b.Context(), channel, numbered(int64(p*apiece+i))); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
	got := in.until("all messages", func(all []conn.Delivery) bool {
		return len(distinct(all)) == publishers*apiece
	})
	if len(got) != publishers*apiece {
		b.Errorf("%d deliveries of %d messages", len(got), publishers*apiece)
	}
}

func transient(b *bench) {
	c, worker := b.client("app"), b.client("worker")
	brief := func(ch *topology.Channel) { ch.Transient = true }
	channel := b.channel(c, brief)
	b.declare(worker, &topology.Channel{Ref: "broker/" + channel, Transient: true})
	b.publish(c, channel, numbered(1)) // nobody listens
	in := b.subscribe(worker, channel, "workers", nil)
	b.publish(c, channel, numbered(2))
	if got := ids(in.wait(1)); !slices.Equal(got, []string{numbered(2).ID()}) {
		b.Errorf("got %v, want the message that was published while somebody listened", got)
	}
}
