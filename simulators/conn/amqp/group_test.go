package amqp_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/amqp"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
	"github.com/faultline-sim/faultline/topology/wire"
)

// tally is what the members of a group were given: who last had which part, each key's messages in
// the order of their first arrival, and those of them that came out of it.
type tally struct {
	mu    sync.Mutex
	parts map[int32]string
	last  map[string]int64
	seen  map[int64]bool
	wrong []string
}

func newTally() *tally {
	return &tally{parts: map[int32]string{}, last: map[string]int64{}, seen: map[int64]bool{}}
}

// member takes what comes for one member, and acknowledges it.
func (y *tally) member(name string) func(conn.Delivery) {
	return func(d conn.Delivery) {
		y.mu.Lock()
		m := d.Message
		y.parts[d.Partition] = name
		if before, ok := y.last[m.Key]; !y.seen[m.Number] && ok && m.Number < before {
			y.wrong = append(y.wrong, fmt.Sprintf("%s: %d after %d", m.Key, m.Number, before))
		}
		y.seen[m.Number] = true
		y.last[m.Key] = m.Number
		y.mu.Unlock()
		_ = d.Ack(context.Background()) // what was taken away is delivered again elsewhere
	}
}

// shares are how many parts each member has, sorted, once each of n parts was heard of since the
// last time.
func (y *tally) shares(n int) []int {
	y.mu.Lock()
	defer y.mu.Unlock()
	if len(y.parts) < n {
		return nil
	}
	count := map[string]int{}
	for _, name := range y.parts {
		count[name]++
	}
	var all []int
	for _, n := range count {
		all = append(all, n)
	}
	slices.Sort(all)
	clear(y.parts)
	return all
}

func (y *tally) count() int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return len(y.seen)
}

// wait returns when n different messages were seen.
func (y *tally) wait(t testing.TB, n int) {
	t.Helper()
	conntest.Eventually(t, "all messages", func() (any, bool) {
		seen := y.count()
		return seen, seen == n
	})
}

// flow publishes to every part until it is told to end, and says how many messages that were.
func flow(t *testing.T, c conn.Broker, channel string, keys int) (end func() int) {
	ctx, cancel := context.WithCancel(t.Context())
	sent := make(chan int)
	go func() {
		for n := 0; ; n++ {
			if ctx.Err() != nil {
				sent <- n
				return
			}
			m := letter(fmt.Sprint("device", n%keys), int64(n))
			if _, err := c.Publish(t.Context(), channel, m); err != nil {
				t.Error(err)
				sent <- n
				return
			}
		}
	}()
	return func() int { cancel(); return <-sent }
}

// TestPartsAreShared wants even shares as members come, leave and crash, each key's messages in
// order all the while, and none lost.
func TestPartsAreShared(t *testing.T) {
	c := client(t, "producer")
	name := channel(t, c, parts(6))
	got := newTally()
	end := flow(t, c, name, 60)
	members := map[string]*amqp.Client{}
	join := func(name, channel string) {
		members[name] = client(t, name)
		subscribe(t, members[name], conn.Subscription{Channel: channel, Handle: got.member(name)})
	}
	shares := func(when string, want ...int) {
		t.Helper()
		begun := time.Now()
		conntest.Eventually(t, when, func() (any, bool) {
			now := got.shares(6)
			return now, cmp.Equal(want, now)
		})
		t.Logf("%s: %v after %v", when, want, time.Since(begun).Round(time.Millisecond))
	}
	join("a", name)
	shares("one member", 6)
	join("b", name)
	shares("two members", 3, 3)
	join("c", name)
	join("d", name)
	shares("four members", 1, 1, 2, 2)
	members["a"].Crash()
	shares("one has crashed", 2, 2, 2)
	if err := members["b"].Close(); err != nil {
		t.Error(err)
	}
	shares("one has left", 3, 3)
	n := end()
	got.wait(t, n)
	if len(got.wrong) > 0 {
		t.Errorf("%d of %d out of order: %v", len(got.wrong), n, got.wrong[:min(9, len(got.wrong))])
	}
}

func TestOneMemberMoreThanParts(t *testing.T) {
	c := client(t, "producer")
	name := channel(t, c, parts(2))
	got := newTally()
	for _, who := range []string{"a", "b", "c"} {
		subscribe(t, client(t, who), conn.Subscription{Channel: name, Handle: got.member(who)})
	}
	for i := range int64(40) {
		publish(t, c, name, letter(fmt.Sprint("device", i%8), i))
	}
	got.wait(t, 40)
}

// TestHandoverKeepsTheOrder has one member hold messages unsettled while another waits: what is
// given back comes before what was never delivered.
func TestHandoverKeepsTheOrder(t *testing.T) {
	native := func(ch *topology.Channel) {
		ch.DeadLetter = &policy.DeadLetter{Attempts: 20, Native: true}
	}
	for _, c := range []struct {
		name  string
		alter func(*topology.Channel)
		end   func(*amqp.Client)
	}{
		{"one part/leaves", parts(1), func(c *amqp.Client) { c.Close() }},
		{"one part/crashes", parts(1), (*amqp.Client).Crash},
		{"parts/leaves", parts(3), func(c *amqp.Client) { c.Close() }},
		{"parts/crashes", parts(3), (*amqp.Client).Crash},
		{"native one part/leaves", func(ch *topology.Channel) { parts(1)(ch); native(ch) },
			func(c *amqp.Client) { c.Close() }},
		{"native one part/crashes", func(ch *topology.Channel) { parts(1)(ch); native(ch) },
			(*amqp.Client).Crash},
		{"native parts/leaves", func(ch *topology.Channel) { parts(3)(ch); native(ch) },
			func(c *amqp.Client) { c.Close() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			producer, first := client(t, "producer"), client(t, "first")
			name := channel(t, producer, c.alter)
			for i := range int64(60) {
				publish(t, producer, name, letter(fmt.Sprint("device", i%5), i))
			}
			held := make(chan conn.Delivery, 60)
			subscribe(t, first, conn.Subscription{
				Channel: name, Prefetch: 12, Handle: func(d conn.Delivery) { held <- d },
			})
			for range 12 {
				conntest.Receive(t, held)
			}
			got, subscribed := newTally(), make(chan error, 1)
			second := client(t, "second")
			go func() {
				subscribed <- second.Subscribe(t.Context(), conn.Subscription{
					Channel: name, Group: "worker", Handle: got.member("second"),
				})
			}()
			if err := <-subscribed; err != nil {
				t.Fatal(err)
			}
			c.end(first)
			got.wait(t, 60)
			if len(got.wrong) > 0 {
				t.Error(got.wrong)
			}
		})
	}
}

func TestCrashIsTakenOverSoon(t *testing.T) {
	for name, alter := range map[string]func(*topology.Channel){
		"competing": nil, "ordered": parts(1), "parts": parts(4),
	} {
		t.Run(name, func(t *testing.T) {
			c := client(t, "producer")
			name := channel(t, c, alter)
			dying := client(t, "dying")
			held := make(chan conn.Delivery, 100)
			subscribe(t, dying, conn.Subscription{
				Channel: name, Handle: func(d conn.Delivery) { held <- d },
			})
			for i := range int64(20) {
				publish(t, c, name, letter(fmt.Sprint("device", i), i))
			}
			var in []conn.Delivery
			for range 20 {
				in = append(in, conntest.Receive(t, held))
			}
			got := newTally()
			subscribe(t, client(t, "other"), conn.Subscription{Channel: name, Handle: got.member("other")})
			dying.Crash()
			begun := time.Now()
			got.wait(t, 20)
			t.Logf("taken over within %v", time.Since(begun).Round(time.Millisecond))
			if err := in[0].Ack(t.Context()); err == nil {
				t.Error("a delivery of the crashed member could be acknowledged")
			}
		})
	}
}

// TestDepth asks a client that has no part in the group.
func TestDepth(t *testing.T) {
	for _, parallel := range []int{1, 3} {
		t.Run(fmt.Sprint("parts ", parallel), func(t *testing.T) {
			c := client(t, "producer")
			name := channel(t, c, parts(parallel))
			asks := client(t, "auditor")
			depth := func(want int64) {
				t.Helper()
				conntest.Eventually(t, fmt.Sprint("a depth of ", want), func() (any, bool) {
					n, err := asks.Depth(t.Context(), name, "worker")
					return fmt.Sprint(n, " ", err), err == nil && n == want
				})
			}
			depth(0)
			for i := range int64(30) {
				publish(t, c, name, letter(fmt.Sprint("device", i), i))
			}
			depth(30)
			held := make(chan conn.Delivery, 30)
			sub := conn.Subscription{Channel: name, Prefetch: 5, Handle: func(d conn.Delivery) { held <- d }}
			subscribe(t, client(t, "first"), sub)
			subscribe(t, client(t, "second"), sub)
			var in []conn.Delivery
			for range 3 {
				in = append(in, conntest.Receive(t, held))
			}
			depth(30)
			if err := in[0].Ack(t.Context()); err != nil {
				t.Error(err)
			}
			depth(29)
			if err := in[1].Nack(t.Context()); err != nil {
				t.Error(err)
			}
			depth(29)
		})
	}
}

// TestDepthIsNotKnown: a member that cannot answer may hold anything.
func TestDepthIsNotKnown(t *testing.T) {
	c := client(t, "producer")
	name := channel(t, c, nil)
	subscribe(t, client(t, "worker"), conn.Subscription{Channel: name, Handle: func(conn.Delivery) {}})
	publish(t, c, name, letter("a", 0))
	heal := breakWire(t, wire.Fault{Kind: wire.Timeout, Direction: wire.Both})
	defer heal()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if n, err := c.Depth(ctx, name, "worker"); err == nil {
		t.Errorf("depth %d of what nobody could be asked about", n)
	}
}

func TestSettleOutOfOrder(t *testing.T) {
	c := client(t, "worker")
	name := channel(t, c, nil)
	got := make(chan conn.Delivery, 100)
	subscribe(t, c, conn.Subscription{
		Channel: name, Prefetch: 40, Handle: func(d conn.Delivery) { got <- d },
	})
	for i := range int64(40) {
		publish(t, c, name, letter("a", i))
	}
	var all []conn.Delivery
	for range 40 {
		all = append(all, conntest.Receive(t, got))
	}
	again := map[int64]bool{}
	for _, i := range []int{39, 3, 0, 1, 2, 20, 5, 4, 7, 6, 8, 10, 9, 38, 11} {
		if i%5 == 3 {
			again[int64(i)] = true
			_ = all[i].Nack(t.Context())
			continue
		}
		if err := all[i].Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range len(again) {
		d := conntest.Receive(t, got)
		if !again[d.Message.Number] || !d.Redelivered {
			t.Errorf("message %d, redelivered %v", d.Message.Number, d.Redelivered)
		}
	}
	if err := all[0].Ack(t.Context()); err == nil {
		t.Error("a delivery could be settled twice")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := client(t, "auditor").Depth(t.Context(), name, "worker"); err != nil || n != 40-12 {
		t.Errorf("%d are left, want %d, %v", n, 40-12, err)
	}
}

func TestDisturbances(t *testing.T) {
	for _, c := range []struct {
		name    string
		disturb func(t *testing.T)
	}{
		{"wire is cut", func(t *testing.T) { breakWire(t, wire.Fault{Kind: wire.Cut})() }},
		{"wire is reset", func(t *testing.T) { breakWire(t, wire.Fault{Kind: wire.Reset})() }},
		{"black hole for longer than the heartbeat", func(t *testing.T) {
			heal := breakWire(t, wire.Fault{Kind: wire.Timeout, Direction: wire.Both})
			<-time.After(5 * time.Second)
			heal()
		}},
		{"replies into a black hole", func(t *testing.T) {
			heal := breakWire(t, wire.Fault{Kind: wire.Timeout, Direction: wire.Replies})
			<-time.After(4 * time.Second)
			heal()
		}},
		{"slow wire", func(t *testing.T) {
			heal := breakWire(t, wire.Fault{
				Kind: wire.Latency, Direction: wire.Both, Latency: 300 * time.Millisecond,
			})
			<-time.After(3 * time.Second)
			heal()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			producer, worker := client(t, "producer"), client(t, "worker")
			name := channel(t, producer, parts(3))
			got := newTally()
			subscribe(t, worker, conn.Subscription{Channel: name, Handle: got.member("worker")})
			send := func(from, to int64) {
				for i := from; i < to; i++ {
					conntest.Eventually(t, "a publish that works", func() (any, bool) {
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						defer cancel()
						_, err := producer.Publish(ctx, name, letter(fmt.Sprint("device", i%7), i))
						return err, err == nil
					})
				}
			}
			send(0, 50)
			c.disturb(t)
			send(50, 100)
			got.wait(t, 100)
			if len(got.wrong) > 0 {
				t.Error(got.wrong)
			}
		})
	}
}
