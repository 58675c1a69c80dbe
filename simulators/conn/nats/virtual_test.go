package nats_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/conn/nats"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	embedded "github.com/faultline-sim/faultline/topology/engine/embedded/nats"
	"github.com/faultline-sim/faultline/topology/wire"
)

var virtualLength = flag.Duration("virtual", 12*time.Second, "length of TestVirtual's flows")

// memoryHost is the fabric in memory as an engine's host. What asks it for sockets fails.
type memoryHost struct {
	engine.Host
	fabric wire.Fabric
}

func (h memoryHost) Listen(replica int) (net.Listener, error) {
	return h.fabric.Listen("stream", replica)
}

// virtual starts an engine over a fabric in memory. It is called inside a bubble.
func virtual(t *testing.T) *conntest.Site {
	t.Helper()
	s := &conntest.Site{Wire: topology.Wire{From: "client", To: "stream"}}
	var err error
	s.Fabric, err = wire.New(wire.Options{Transport: wire.Virtual, Wires: []topology.Wire{s.Wire}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Fabric.Close() })
	s.Engine, err = embedded.New(engine.Config{
		Node: &topology.Node{Name: "stream", Kind: topology.Broker, Protocol: "nats"},
		Host: memoryHost{fabric: s.Fabric}, Dir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Engine.Close() })
	if err := s.Engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// flow is a producer of a channel and a group of two workers.
type flow struct {
	*conntest.Site
	producer *nats.Client
	got      *conntest.Tally
	sent     int

	mu     sync.Mutex
	last   time.Time     // of the deliveries
	silent time.Duration // the longest time between two
}

func newFlow(t *testing.T, parallel int) *flow {
	f := &flow{Site: virtual(t), got: conntest.NewTally(nil), last: time.Now()}
	events := &topology.Channel{
		Ref: "stream/events", Parallel: parallel, Groups: []string{"worker"},
	}
	f.producer = client(t, f.Site, "producer", events)
	for i := range 2 {
		conntest.Subscribe(t, client(t, f.Site, fmt.Sprint("worker", i), events), f.handle)
	}
	return f
}

func (f *flow) handle(d conn.Delivery) {
	f.mu.Lock()
	f.silent, f.last = max(f.silent, time.Since(f.last)), time.Now()
	f.mu.Unlock()
	f.got.Handle(d)
}

// run publishes fifty messages a second, each until it is stored, and wants all of them delivered.
func (f *flow) run(t *testing.T, length time.Duration) {
	t.Helper()
	var all sync.WaitGroup
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(length); time.Now().Before(end); f.sent++ {
		<-tick.C
		n := f.sent
		all.Go(func() { f.publish(t, n) })
	}
	all.Wait()
	f.got.Wait(t, f.sent)
}

func (f *flow) publish(t *testing.T, n int) {
	const pause = 100 * time.Millisecond
	for ; ; time.Sleep(pause) {
		m := conntest.Letter(fmt.Sprint("device", n%10), int64(n/10))
		_, err := f.producer.Publish(t.Context(), "events", m)
		if err == nil {
			return
		}
		if t.Context().Err() != nil || errors.Is(err, conn.ErrRefused) {
			t.Error(err)
			return
		}
	}
}

// trouble is what happens to a flow for a time.
type trouble func(t *testing.T, f *flow, length time.Duration)

func fault(faults ...wire.Fault) trouble {
	return func(t *testing.T, f *flow, length time.Duration) {
		for _, x := range faults {
			defer f.Break(t, x)()
		}
		time.Sleep(length)
	}
}

func restart(end func(*flow) func(context.Context) error) trouble {
	return func(t *testing.T, f *flow, length time.Duration) {
		f.Restart(t, func(ctx context.Context) error {
			err := end(f)(ctx)
			time.Sleep(length)
			return err
		})
	}
}

var (
	slow = fault(wire.Fault{
		Kind: wire.Latency, Direction: wire.Both, Latency: 300 * time.Millisecond,
	})
	hole  = fault(wire.Fault{Kind: wire.Timeout, Direction: wire.Both})
	deaf  = fault(wire.Fault{Kind: wire.Timeout, Direction: wire.Replies})
	reset = fault(wire.Fault{Kind: wire.Reset})
	// narrow is a little more than the flow needs.
	narrow = fault(wire.Fault{Kind: wire.Bandwidth, Direction: wire.Both, BytesPerSecond: 100_000})
	stop   = restart(func(f *flow) func(context.Context) error { return f.Engine.Stop })
	kill   = restart(func(f *flow) func(context.Context) error { return f.Engine.Kill })
)

// TestVirtual runs client and engine in virtual time. Every message arrives, and the silence of the
// consumers is that of the trouble and what it takes to see its end.
func TestVirtual(t *testing.T) {
	long := min(20*time.Second, *virtualLength/4)
	for _, c := range []struct {
		name   string
		do     trouble // nil is none
		length time.Duration
		silent time.Duration // at most
	}{
		{"none", nil, 0, 100 * time.Millisecond},
		{"latency", slow, *virtualLength / 2, time.Second},
		{"black hole", hole, long, long + 2*time.Second},
		{"reset", reset, long, long + 2*time.Second},
		{"stop", stop, long, long + 2*time.Second},
		{"kill", kill, long, long + 2*time.Second},
	} {
		for i, kind := range []string{"unordered", "ordered"} {
			t.Run(c.name+"/"+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFlow(t, 1+i)
					var beside sync.WaitGroup
					defer beside.Wait()
					if c.do != nil {
						beside.Go(func() { time.Sleep(2 * time.Second); c.do(t, f, c.length) })
					}
					f.run(t, *virtualLength)
					if f.silent > c.silent {
						t.Errorf("silent for %v, want %v at most", f.silent, c.silent)
					}
				})
			})
		}
	}
}

// TestVirtualAtRandom has troubles of random kinds and lengths, one after the other.
func TestVirtualAtRandom(t *testing.T) {
	troubles := []trouble{slow, hole, deaf, reset, narrow, stop, kill}
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 0))
				upTo := func(most time.Duration) time.Duration {
					return time.Duration(rng.Int64N(int64(most)))
				}
				f := newFlow(t, 1+rng.IntN(2))
				var beside sync.WaitGroup
				defer beside.Wait()
				beside.Go(func() {
					for range 4 {
						time.Sleep(upTo(2 * time.Second))
						troubles[rng.IntN(len(troubles))](t, f, upTo(3*time.Second))
					}
				})
				f.run(t, 10*time.Second)
			})
		})
	}
}

// TestVirtualMessagesExpireByTheClock wants a message kept for as long as its channel says, and no
// longer.
func TestVirtualMessagesExpireByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := virtual(t)
		c := client(t, s, "producer", &topology.Channel{Ref: "stream/brief", TTL: time.Minute})
		count := func() int { return len(conntest.Audited(t, c, "brief")) }
		for n := range int64(3) {
			if _, err := c.Publish(t.Context(), "brief", letter("device", n)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(25 * time.Second)
		}
		var got []int
		for range 4 {
			got = append(got, count())
			time.Sleep(20 * time.Second)
		}
		if want := "[2 1 0 0]"; fmt.Sprint(got) != want {
			t.Errorf("messages at 75, 95, 115 and 135 s: %v, want %s", got, want)
		}
	})
}
