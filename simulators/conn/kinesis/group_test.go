package kinesis_test

import (
	"sync"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/conn/kinesis"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology/wire"
)

func TestDisturbances(t *testing.T) {
	for _, c := range []struct {
		name    string
		disturb func(t *testing.T, s *conntest.Site)
	}{
		{"delivery/wire is cut for a moment/complete and in order",
			func(t *testing.T, s *conntest.Site) { s.Break(t, wire.Fault{Kind: wire.Cut})() }},
		{"delivery/wire is cut until leases run out/complete and in order",
			func(t *testing.T, s *conntest.Site) {
				heal := s.Break(t, wire.Fault{Kind: wire.Cut})
				<-time.After(2 * time.Second)
				heal()
			}},
		{"delivery/wire swallows all until leases run out/complete and in order",
			func(t *testing.T, s *conntest.Site) {
				heal := s.Break(t, wire.Fault{Kind: wire.Timeout, Direction: wire.Both})
				<-time.After(2 * time.Second)
				heal()
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t)
			producer, worker := client(t, s, "producer", 6), client(t, s, "worker", 6)
			got := conntest.NewTally(nil)
			conntest.Subscribe(t, worker, got.Handle)
			publish(t, producer, 10, 0, 20)
			c.disturb(t, s)
			begun := time.Now()
			publish(t, producer, 10, 20, 40)
			got.Wait(t, 400)
			t.Logf("all was delivered %v after the heal", time.Since(begun).Round(time.Millisecond))
			got.Check(t, 10, 40)
		})
	}
}

func TestGroup(t *testing.T) {
	t.Run("scale/1 to 3 to 1/none lost, order kept", func(t *testing.T) {
		s := start(t)
		conntest.GrowsAndShrinks(t, func(name string) conn.Broker { return client(t, s, name, 6) })
	})
	t.Run("takeover/a member crashes/the other one goes on", func(t *testing.T) {
		s := start(t)
		conntest.TakesOver(t, func(name string) conn.Broker { return client(t, s, name, 2) })
	})
	t.Run("two groups/one stream/each gets all", func(t *testing.T) {
		s := start(t)
		c := client(t, s, "producer", 2)
		publish(t, c, 4, 0, 10)
		one, other := conntest.NewTally(nil), conntest.NewTally(nil)
		conntest.Subscribe(t, c, one.Handle)
		err := c.Subscribe(t.Context(), conn.Subscription{
			Channel: "events", Group: "another", Handle: other.Handle,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range []*conntest.Tally{one, other} {
			got.Wait(t, 40)
			got.Check(t, 4, 10)
		}
	})
}

func TestSplit(t *testing.T) {
	s := start(t)
	producer := client(t, s, "producer", 2)
	got := conntest.NewTally(nil)
	workers := []*kinesis.Client{client(t, s, "worker0", 2), client(t, s, "worker1", 2)}
	for _, w := range workers {
		conntest.Subscribe(t, w, got.Handle)
	}
	var load sync.WaitGroup
	load.Go(func() { publish(t, producer, 10, 0, 60) })
	for _, want := range []int{2, 4} {
		if n, err := producer.SplitShards(t.Context(), "events"); err != nil || n != want {
			t.Fatalf("%d split, %v", n, err)
		}
	}
	load.Wait()
	publish(t, producer, 10, 60, 80)
	got.Wait(t, 800)
	got.Check(t, 10, 80)
	depthIs(t, producer, "worker", 0)
	found := 0
	err := producer.Audit(t.Context(), "events", func(*message.Message) error { found++; return nil })
	if err != nil || found != 800 {
		t.Errorf("audit found %d, %v", found, err)
	}
	late := conntest.NewTally(nil)
	err = producer.Subscribe(t.Context(), conn.Subscription{
		Channel: "events", Group: "late", Handle: late.Handle,
	})
	if err != nil {
		t.Fatal(err)
	}
	late.Wait(t, 800)
	late.Check(t, 10, 80)
}
