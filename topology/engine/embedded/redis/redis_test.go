package redis

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
)

func TestKeysExpireByTheClockAlsoWhileStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made, err := New(engine.Config{Node: &topology.Node{Name: "cache"}})
		if err != nil {
			t.Fatal(err)
		}
		e := made.(*Engine)
		e.data.Set("soon", "1")
		e.data.SetTTL("soon", time.Second)
		e.data.Set("late", "1")
		e.data.SetTTL("late", time.Minute)
		e.data.Set("never", "1")

		e.ended.Go(func() { e.expire(t.Context()) })
		time.Sleep(time.Second + expireEach)
		synctest.Wait()
		if diff := cmp.Diff([]string{"late", "never"}, e.data.Keys()); diff != "" {
			t.Errorf("keys after a second (-want +got):\n%s", diff)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		made, err := New(engine.Config{Node: &topology.Node{Name: "cache"}})
		if err != nil {
			t.Fatal(err)
		}
		e := made.(*Engine)
		e.data.Set("late", "1")
		e.data.SetTTL("late", time.Minute)
		time.Sleep(time.Minute)
		e.age() // as Start does
		if diff := cmp.Diff([]string{}, e.data.Keys()); diff != "" {
			t.Errorf("keys after a minute's stop (-want +got):\n%s", diff)
		}
	})
}
