package conformance

import (
	"runtime"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/simulators/conn/redis"
	"github.com/faultline-sim/faultline/topology/wire"
)

func TestNothingIsLeftOfAStackAndItsClients(t *testing.T) {
	for protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			before := runtime.NumGoroutine()
			t.Run("run", func(t *testing.T) {
				b := newBed(t, protocol)
				if err := b.store.Put(t.Context(), table, one(numbered(1))); err != nil {
					t.Fatal(err)
				}
				inject(t, b, wire.Fault{ // closed while it is broken
					Name: "hole", Wire: toStore, Replica: -1, Kind: wire.Timeout, Direction: wire.Both,
				})
			})
			goroutinesReturnTo(t, before)
		})
	}
}

// goroutinesReturnTo waits until those that are on their way out have gone.
func goroutinesReturnTo(t *testing.T, before int) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for runtime.NumGoroutine() > before {
		select {
		case <-tick.C:
		case <-deadline:
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before,
				stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func TestSetNXIsFirstComeUntilItExpires(t *testing.T) {
	b := newBed(t, "redis")
	c := b.store.(*redis.Client)
	set := func(ttl time.Duration) bool {
		t.Helper()
		first, err := c.SetNX(t.Context(), "dedupe/주문-1", ttl)
		if err != nil {
			t.Fatal(err)
		}
		return first
	}
	if !set(50*time.Millisecond) || set(50*time.Millisecond) {
		t.Error("want the first to be first and the second not")
	}
	deadline := time.After(10 * time.Second)
	for !set(0) {
		select {
		case <-deadline:
			t.Fatal("the key does not expire")
		default:
		}
	}
	if set(0) {
		t.Error("a key without a time to live was set twice")
	}
}
