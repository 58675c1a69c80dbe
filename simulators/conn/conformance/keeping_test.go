package conformance

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/cast"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/claims"
	"github.com/faultline-sim/faultline/topology/features"
)

func keepingProperties() []property {
	readable := func(c claims.Broker) bool { return c.Readable }
	keeps := func(f features.Features) bool { return f.Able(features.KeepsData) }
	return []property{
		{name: "audit reads all and disturbs nobody", claimed: readable, test: audit},
		{name: "depth is what a group has left",
			claimed: func(c claims.Broker) bool { return c.Counted }, test: depth},
		{name: "a restart keeps what was answered",
			claimed: func(c claims.Broker) bool { return c.Early }, able: keeps, test: restart},
		{name: "a kill keeps what was answered",
			claimed: func(c claims.Broker) bool { return c.Early }, able: keeps, test: kill},
		{name: "nothing is left after close", test: nothingLeft},
	}
}

func audit(b *bench) {
	c := b.client("app")
	channel := b.channel(c, func(ch *topology.Channel) { ch.Groups = nil })
	if got := b.audited(c, channel); len(got) > 0 {
		b.Errorf("an empty channel has %v", got)
	}
	sent := several(0, 30, 5)
	b.publish(c, channel, sent...)
	for range 2 {
		if diff := cmp.Diff(once(sent), b.audited(b.client("auditor"), channel)); diff != "" {
			b.Errorf("messages (-sent +found):\n%s", diff)
		}
	}
}

func depth(b *bench) {
	c := b.client("app")
	channel := b.channel(c, b.parts)
	b.depthIs(c, channel, 0)
	b.publish(c, channel, several(0, 20, 20)...)
	b.depthIs(c, channel, 20)
	worker := b.client("worker")
	in := b.subscribe(worker, channel, "workers", keep)
	held := in.wait(20)
	b.depthIs(c, channel, 20)
	for _, d := range held {
		ack(d)
	}
	b.depthIs(c, channel, 0)
}

func (b *bench) depthIs(c conn.Broker, channel string, want int64) {
	b.Helper()
	b.eventually(fmt.Sprintf("depth %d", want), func() (any, bool) {
		n, err := c.Depth(b.Context(), channel, "workers")
		return fmt.Sprint(n, " ", err), err == nil && n == want
	})
}

func restart(b *bench) {
	b.over(func(ctx context.Context) error { return b.engine().Stop(ctx) }, true)
}

// kill: an acknowledgement that the broker had not written down yet may be forgotten.
func kill(b *bench) {
	b.over(func(ctx context.Context) error { return b.engine().Kill(ctx) }, false)
}

// over ends and starts the broker: what is unsettled is kept, what is settled does not come again
// where the broker ends in order, and clients that were connected go on by themselves.
func (b *bench) over(end func(context.Context) error, inOrder bool) {
	c := b.client("app")
	channel := b.channel(c, b.parts)
	b.publish(c, channel, several(0, 20, 10)...)
	worker := b.client("worker")
	in := b.subscribe(worker, channel, "workers", nil)
	in.wait(20)
	if b.claims.Counted {
		b.emptied(c, channel, "workers")
	}
	if err := worker.Close(); err != nil {
		b.Fatal(err)
	}
	b.publish(c, channel, several(20, 10, 10)...)
	ctx, cancel := context.WithTimeout(b.Context(), 3*patience)
	defer cancel()
	if err := errors.Join(end(ctx), b.engine().Start(ctx)); err != nil {
		b.Fatal(err)
	}
	after := b.subscribe(b.client("worker"), channel, "workers", nil)
	want := idsOf(several(20, 10, 10))
	got := after.until("what was not settled", func(all []conn.Delivery) bool {
		there := distinct(all)
		return !slices.ContainsFunc(want, func(id string) bool { return !slices.Contains(there, id) })
	})
	if diff := cmp.Diff(want, distinct(got)); diff != "" && b.claims.Counted && inOrder {
		b.Errorf("messages after it (-want +got):\n%s", diff)
	}
	b.resume(c, channel)
	after.until("what was published after it", func(all []conn.Delivery) bool {
		return len(all) > 0 && all[len(all)-1].Message.Number > 1000
	})
}

// resume publishes until a publish works.
func (b *bench) resume(c conn.Broker, channel string) {
	b.Helper()
	number := int64(1000)
	b.eventually("a publish that works", func() (any, bool) {
		ctx, cancel := context.WithTimeout(b.Context(), patience/10)
		defer cancel()
		number++
		_, err := c.Publish(ctx, channel, numbered(number))
		return err, err == nil
	})
}

// nothingLeft: a client that has published and consumed leaves no goroutine, also when the wire is
// cut or swallows everything while it closes. Each has a channel of its own, since the broker may take
// one that left without a word for alive. The count before is taken once: while a cut heals, goroutines
// of the proxy come late, and rounds that leave some add up.
func nothingLeft(b *bench) {
	rounds := []string{"", "cut", "timeout"}
	keeper := b.client("app")
	var channels []string
	for range rounds {
		channels = append(channels, b.channel(keeper, b.parts))
	}
	if err := keeper.Close(); err != nil {
		b.Fatal(err)
	}
	before := runtime.NumGoroutine()
	for i, fault := range rounds {
		c, err := cast.Clients().Broker(b.claims.Protocol, b.config("leaver"))
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Connect(b.Context()); err != nil {
			b.Fatal(err)
		}
		in := b.subscribe(c, channels[i], "workers", nil)
		b.publish(c, channels[i], numbered(1))
		in.wait(1)
		heal := func() {}
		if fault != "" {
			heal = b.inject(kinds[fault])
		}
		err = c.Close()
		heal()
		if err != nil {
			b.Error(err)
		}
		b.goroutinesReturnTo(before, fault)
	}
}
