package conformance

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/faultline-sim/faultline/simulators/cast"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/claims"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/features"
	"github.com/faultline-sim/faultline/topology/wire"
)

var kinds = map[string]wire.Kind{"cut": wire.Cut, "timeout": wire.Timeout}

const (
	// outage is how long a wire is broken, and resumed how soon after its heal a message published
	// by then must be delivered.
	outage  = 2 * time.Second
	resumed = 2 * time.Second
)

func faultProperties() []property {
	return []property{
		{name: "delivery resumes within 2 s of a cut's heal", test: func(b *bench) { b.outlive(wire.Cut) }},
		{name: "delivery resumes within 2 s of a black hole's heal",
			test: func(b *bench) { b.outlive(wire.Timeout) }},
		{name: "a publish into a black hole is unknown at its deadline", test: blackHole},
		{name: "connection states are told", test: states},
		{name: "refused writes are told, and taken after the heal",
			able: func(f features.Features) bool { return f.Able(features.RefuseWrites) },
			test: refusedWrites},
		{name: "a memory alarm holds publishers until it is lowered",
			able: func(f features.Features) bool { return f.Able(features.RaiseAlarm) },
			test: memoryAlarm},
		{name: "throttled requests are made again",
			able: func(f features.Features) bool { return f.Able(features.Throttle) },
			test: throttled},
		{name: "dropped connections come back",
			able: func(f features.Features) bool { return f.Able(features.DisconnectAll) },
			test: droppedConnections},
	}
}

func refusalProperties() []property {
	return []property{
		{name: "wrong credentials are refused",
			able: func(f features.Features) bool { return f.Authenticates }, test: wrongPassword},
		{name: "a missing channel is refused",
			claimed: func(c claims.Broker) bool { return !c.Devices }, test: missingChannel},
		{name: "an oversized message is refused", test: oversized},
		{name: "an incomplete message is refused before it is sent", test: incomplete},
		{name: "a channel for each id is refused",
			claimed: func(c claims.Broker) bool { return !c.Wildcards }, test: wildcard},
	}
}

// outlive breaks the wire while messages are published each 50 ms. Every one that was answered
// arrives, and the first that arrives after the heal does so in time.
func (b *bench) outlive(kind wire.Kind) {
	c, worker := b.client("app"), b.client("worker")
	channel := b.channel(c, b.parts)
	in := b.subscribe(worker, channel, "workers", nil)
	b.publish(c, channel, numbered(0))
	in.wait(1)
	heal := b.inject(kind)
	p := b.keepPublishing(c, channel)
	<-time.After(outage)
	before := len(in.now())
	heal()
	healed := time.Now()
	in.until("a delivery after the heal", func(all []conn.Delivery) bool { return len(all) > before })
	in.mu.Lock()
	took := in.at[before].Sub(healed)
	in.mu.Unlock()
	b.Logf("delivery resumed %v after the heal", took.Round(time.Millisecond))
	if took > resumed {
		b.Errorf("delivery resumed %v after the heal, want at most %v", took, resumed)
	}
	answered := p()
	in.until("all that was answered", func(all []conn.Delivery) bool {
		got := map[string]bool{}
		for _, d := range all {
			got[d.Message.ID()] = true
		}
		for _, id := range answered {
			if !got[id] {
				return false
			}
		}
		return true
	})
}

// keepPublishing publishes each 50 ms, each message with a deadline of 500 ms, until the returned
// function is called, which says what was answered.
func (b *bench) keepPublishing(c conn.Broker, channel string) (stop func() []string) {
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan []string)
	go func() {
		var answered []string
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for n := int64(1); ctx.Err() == nil; n++ {
			limited, end := context.WithTimeout(ctx, 500*time.Millisecond)
			m := numbered(n)
			if _, err := c.Publish(limited, channel, m); err == nil {
				answered = append(answered, m.ID())
			}
			end()
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		done <- answered
	}()
	return func() []string { cancel(); return <-done }
}

func blackHole(b *bench) {
	c := b.client("app")
	channel := b.channel(c, nil)
	b.publish(c, channel, numbered(1))
	heal := b.inject(wire.Timeout)
	defer heal()
	ctx, cancel := context.WithTimeout(b.Context(), 300*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := c.Publish(ctx, channel, numbered(2))
	if !errors.Is(err, conn.ErrUnknown) {
		b.Errorf("got %v, want an error that wraps ErrUnknown", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		b.Errorf("a publish with a deadline of 300 ms took %v", took)
	}
	heal()
	b.resume(c, channel)
}

func refusedWrites(b *bench) {
	b.holdsWrites(b.engine().(engine.WriteRefuser).RefuseWrites)
}

func memoryAlarm(b *bench) {
	b.holdsWrites(b.engine().(engine.MemoryAlarmer).MemoryAlarm)
}

// holdsWrites: while a fault of the broker is in force no publish is answered as done, and after its
// heal all goes on over the connections that were there.
func (b *bench) holdsWrites(fault func(context.Context) (func(context.Context) error, error)) {
	c := b.client("app")
	channel := b.channel(c, nil)
	in := b.subscribe(b.client("worker"), channel, "workers", nil)
	b.publish(c, channel, numbered(1))
	in.wait(1)
	heal, err := fault(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := c.Publish(ctx, channel, numbered(2)); err == nil {
		b.Error("a publish was answered as done while the broker takes none")
	} else {
		b.Log(err)
	}
	if err := heal(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.resume(c, channel)
	in.until("what was published after the heal", func(all []conn.Delivery) bool {
		return len(all) > 0 && all[len(all)-1].Message.Number > 1000
	})
}

// throttled: beyond the rate requests are refused, which costs time and loses nothing.
func throttled(b *bench) {
	const perSecond, messages = 20, 60
	c := b.client("app")
	channel := b.channel(c, nil)
	in := b.subscribe(b.client("worker"), channel, "workers", nil)
	heal, err := b.engine().(engine.Throttler).Throttle(b.Context(), perSecond)
	if err != nil {
		b.Fatal(err)
	}
	sent := several(0, messages, 0)
	b.publish(c, channel, sent[:messages/2]...)
	if err := heal(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.publish(c, channel, sent[messages/2:]...)
	in.until("all messages", func(all []conn.Delivery) bool {
		return slices.Equal(distinct(all), idsOf(sent))
	})
}

func droppedConnections(b *bench) {
	c := b.client("app")
	channel := b.channel(c, b.parts)
	in := b.subscribe(b.client("worker"), channel, "workers", nil)
	b.publish(c, channel, numbered(1))
	in.wait(1)
	n, err := b.engine().(engine.Disconnecter).DisconnectAll(b.Context())
	if err != nil || n < 2 {
		b.Fatalf("%d connections dropped, %v, want those of two clients", n, err)
	}
	b.resume(c, channel)
	in.until("a delivery after it", func(all []conn.Delivery) bool {
		return len(all) > 0 && all[len(all)-1].Message.Number > 1000
	})
}

func states(b *bench) {
	told := make(chan string, 100)
	cfg := b.config("watched")
	cfg.OnState = func(state string) { told <- state }
	c, err := cast.Clients().Broker(b.claims.Protocol, cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if err := c.Connect(b.Context()); err != nil {
		b.Fatal(err)
	}
	channel := b.channel(c, nil)
	in := b.subscribe(c, channel, "workers", nil)
	b.publish(c, channel, numbered(1))
	in.wait(1)
	b.told(told, "connect")
	heal := b.inject(wire.Cut)
	b.told(told, "disconnect")
	heal()
	b.told(told, "connect")
}

func (b *bench) told(told chan string, want string) {
	b.Helper()
	patient := time.After(patience)
	for {
		select {
		case state := <-told:
			if state == want {
				return
			}
		case <-patient:
			b.Fatalf("waited %v to be told %q", patience, want)
		}
	}
}

func wrongPassword(b *bench) {
	cfg := b.config("stranger")
	cfg.User, cfg.Password = "stranger", func() string { return "wrong" }
	c, err := cast.Clients().Broker(b.claims.Protocol, cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	b.refused(c.Connect(ctx), toBroker.String())
}

// refused: an error wraps ErrRefused and names what is at fault.
func (b *bench) refused(err error, names ...string) {
	b.Helper()
	if !errors.Is(err, conn.ErrRefused) {
		b.Errorf("got %v, want an error that wraps ErrRefused", err)
		return
	}
	b.Log(err)
	for _, name := range names {
		if !strings.Contains(err.Error(), name) {
			b.Errorf("%q does not name %q", err, name)
		}
	}
}

func missingChannel(b *bench) {
	c := b.client("app")
	there := b.channel(c, nil)
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	_, err := c.Publish(ctx, "nobody/declared", numbered(1))
	b.refused(err, toBroker.String(), "nobody/declared")
	b.publish(c, there, numbered(2)) // others are not disturbed
}

func oversized(b *bench) {
	c := b.client("app")
	channel := b.channel(c, nil)
	m := numbered(1).With(func(m *message.Message) { m.Data = make([]byte, 300<<20) })
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	_, err := c.Publish(ctx, channel, m)
	b.refused(err, toBroker.String(), channel)
	b.publish(c, channel, numbered(2))
}

func incomplete(b *bench) {
	c := b.client("app")
	channel := b.channel(c, nil)
	if _, err := c.Publish(b.Context(), channel, &message.Message{}); err == nil {
		b.Error("a message without a flow was published")
	}
	in := b.subscribe(b.client("worker"), channel, "workers", nil)
	b.publish(c, channel, numbered(1))
	if got := ids(in.wait(1)); got[0] != numbered(1).ID() {
		b.Errorf("got %v", got)
	}
}

func wildcard(b *bench) {
	c := b.client("app")
	err := c.Declare(b.Context(), []*topology.Channel{{Ref: "broker/command/:id"}})
	if !errors.Is(err, conn.ErrUnsupported) {
		b.Errorf("got %v, want an error that wraps ErrUnsupported", err)
	}
}

// goroutinesReturnTo waits until those that are on their way out have gone.
func (b *bench) goroutinesReturnTo(before int, when string) {
	b.Helper()
	patient := time.After(patience)
	for runtime.NumGoroutine() > before {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-patient:
			stacks := make([]byte, 1<<20)
			b.Fatalf("with %q: %d goroutines, %d before:\n%s", when, runtime.NumGoroutine(), before,
				stacks[:runtime.Stack(stacks, true)])
		}
	}
}
