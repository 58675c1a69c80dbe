package process

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/topology/engine"
)

// gone waits until nobody of a family is left.
func gone(t *testing.T, c *child) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	overdue := time.After(late)
	for {
		left, err := c.family()
		watcher, ended := statOf(c.group)
		watched := ended == nil && watcher.state != "Z" // who adopted it may be slow to notice
		if err == nil && len(left) == 0 && !watched {
			return
		}
		select {
		case <-again.C:
		case <-overdue:
			t.Fatalf("still there after %s: %v, watcher %v, %v", late, pids(left), watched, err)
		}
	}
}

func TestWhoLeavesTheGroupIsKilledToo(t *testing.T) {
	e := fake(t, "wanders")
	do(t, e.Start)
	c := e.child.Load()
	all, err := c.family()
	if err != nil || len(all) != 2 {
		t.Fatalf("running/family/want the broker and the wanderer, got %v and %v", all, err)
	}
	if !slices.Contains(pids(all), c.program.Process.Pid) {
		t.Errorf("running/family/%v is without the broker", pids(all))
	}
	do(t, e.Kill)
	gone(t, c)
}

func TestNobodyOutlivesTheOwner(t *testing.T) {
	for _, role := range []string{"fake", "fake paused"} {
		t.Run(role, func(t *testing.T) {
			owner, c := owned(t, role)
			all, err := c.family()
			if err != nil || len(all) != 1 {
				t.Fatalf("owner lives/family/got %v and %v", all, err)
			}
			owner.Process.Kill()
			gone(t, c)
		})
	}
}

func TestUsageOfAProgram(t *testing.T) {
	e := fake(t, "wanders")
	if u, err := e.Usage(t.Context()); err == nil {
		t.Errorf("not started/want an error, got %+v", u)
	}
	do(t, e.Start)
	alone, err := statOf(e.child.Load().program.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	u, err := e.Usage(t.Context())
	if err != nil || u.Memory <= alone.memory || u.CPU < 0 {
		t.Errorf("running/got %+v and %v, the broker alone has %d bytes", u, err, alone.memory)
	}
	c := e.child.Load()
	c.program.Process.Kill()
	<-c.ended
	if u, err := e.Usage(t.Context()); err == nil {
		t.Errorf("ended unasked/want an error, got %+v", u)
	}
}

func TestParseStat(t *testing.T) {
	const line = "4711 (a (b) c) S 1 4700 4700 0 -1 4194304 5 6 7 8 100 20 3 4 20 0 9 0 1 999 " +
		"10 18446744073709551615 1 1"
	got, err := parseStat(line)
	if err != nil {
		t.Fatal(err)
	}
	page := int64(4096)
	if got.memory != 10*page {
		page = got.memory / 10 // a machine with larger pages
	}
	want := stat{"S", 4700, 1270 * time.Millisecond, 10 * page}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(stat{})); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"", "1 (x", "1 (x) S 1 2"} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q/want an error", bad)
		}
	}
}

func TestAnEngineWhoseContextIsOverIsKilledAllTheSame(t *testing.T) {
	e := fake(t, "")
	do(t, e.Start)
	c := e.child.Load()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Start(over); err == nil {
		t.Error("start/running/want an error")
	}
	if err := e.Kill(over); err != nil {
		t.Error(err)
	}
	gone(t, c)
	if err := e.Start(over); !errors.Is(err, context.Canceled) {
		t.Errorf("start/context over/got %v", err)
	}
	if _, err := engine.Pauser(e).Pause(t.Context()); err == nil {
		t.Error("pause/start failed/want an error")
	}
}

// RabbitMQ is the program some of whose descendants leave the group.
func TestNoBrokerOutlivesItsOwner(t *testing.T) {
	need(t, "amqp")
	owner, c := owned(t, "amqp")
	all, err := c.family()
	if err != nil || len(all) < 2 {
		t.Fatalf("owner lives/family/got %v and %v", all, err)
	}
	owner.Process.Kill()
	gone(t, c)
}
