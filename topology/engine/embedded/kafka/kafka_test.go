package kafka_test

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/embedded/kafka"
	"github.com/faultline-sim/faultline/topology/features"
)

// host listens on the same port for the same replica each time.
type host struct {
	mu    sync.Mutex
	addrs map[int]string
}

func (h *host) Listen(replica int) (net.Listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	addr := h.addrs[replica]
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err == nil {
		h.addrs[replica] = l.Addr().String()
	}
	return l, err
}

func (h *host) Announce(int, string) error { return nil }
func (h *host) Port(int) (int, error)      { return 0, nil }

func (h *host) Dial(context.Context, int) (net.Conn, error) { return nil, net.ErrClosed }

func start(t *testing.T, brokers int) (engine.Engine, *host) {
	t.Helper()
	h := &host{addrs: map[int]string{}}
	e, err := kafka.New(engine.Config{
		Node: &topology.Node{Name: "stream", Brokers: brokers},
		Host: h,
		Dir:  t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	if err := e.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return e, h
}

func TestEngine(t *testing.T) {
	ctx := context.Background()

	t.Run("address/stopped and killed/same again", func(t *testing.T) {
		e, h := start(t, 3)
		before := map[int]string{}
		for replica, addr := range h.addrs {
			before[replica] = addr
		}
		for _, end := range []func(context.Context) error{e.Stop, e.Kill} {
			if err := end(ctx); err != nil {
				t.Fatal(err)
			}
			if err := e.Start(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(before, h.addrs); diff != "" || len(before) != 3 {
			t.Errorf("addresses changed: %s", diff)
		}
	})

	t.Run("wipe/running/refused", func(t *testing.T) {
		e, _ := start(t, 1)
		if err := e.Wipe(ctx); err == nil {
			t.Error("a running engine was wiped")
		}
	})

	t.Run("leader move/one broker/says it cannot", func(t *testing.T) {
		e, _ := start(t, 1)
		_, err := e.(engine.LeaderMover).MoveLeaders(ctx, "")
		if err == nil || e.Info().Able(features.MoveLeader) {
			t.Errorf("got %v and %+v", err, e.Info().Can)
		}
	})

	t.Run("close/twice/no error", func(t *testing.T) {
		e, _ := start(t, 1)
		for range 2 {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
