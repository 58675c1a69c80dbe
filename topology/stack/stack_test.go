package stack_test

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/features"
	"github.com/faultline-sim/faultline/topology/stack"
	"github.com/faultline-sim/faultline/topology/wire"
)

// system has one engine of every protocol.
func system() *topology.Topology {
	t := &topology.Topology{Nodes: []*topology.Node{
		{Name: "app", Kind: topology.Service, Replicas: 1},
		{Name: "메시징.mqtt", Kind: topology.Broker, Protocol: "mqtt", Brokers: 1},
		{Name: "stream", Kind: topology.Broker, Protocol: "kafka", Brokers: 1},
		{Name: "lake", Kind: topology.Store, Protocol: "s3"},
		{Name: "warehouse", Kind: topology.Store, Protocol: "postgres"},
		{Name: "cache", Kind: topology.Store, Protocol: "redis"},
	}}
	t.Channels = []*topology.Channel{{Ref: "stream/events", Parallel: 2}}
	return t
}

func TestAStackComesUpAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	var told []string
	s, err := stack.Up(t.Context(), stack.Options{
		Topology: system(), Dir: dir,
		Progress: func(p stack.Progress) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, p.Node+" "+p.State)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Engine("app") != nil || s.Engine("lake") == nil || s.Fabric() == nil {
		t.Error("a service has an engine, or a store has none")
	}
	for _, i := range s.Infos() {
		if i.Name == "" || i.Worth == "" {
			t.Errorf("engine of %q does not say what it is worth", i.Node)
		}
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	slices.Sort(told)
	want := []string{
		"cache ready", "cache starting", "lake ready", "lake starting", "stream ready",
		"stream starting", "warehouse ready", "warehouse starting", "메시징.mqtt ready",
		"메시징.mqtt starting",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("progress (-want +told):\n%s", diff)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestTwentyStacksSideBySide(t *testing.T) {
	const stacks = 20
	before := runtime.NumGoroutine()
	errs := make([]error, stacks)
	all := make([]*stack.Stack, stacks)
	var group sync.WaitGroup
	for i := range stacks {
		group.Go(func() {
			all[i], errs[i] = stack.Up(t.Context(), stack.Options{Topology: system(), Dir: t.TempDir()})
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	addresses := map[string]int{}
	for i, s := range all {
		if s == nil {
			continue
		}
		for _, n := range []string{"stream", "lake", "warehouse", "cache", "메시징.mqtt"} {
			w := topology.Wire{From: "app", To: n}
			for _, a := range s.Fabric().Dialer(w, 0).Endpoints() {
				addresses[a]++
			}
		}
		group.Go(func() { errs[i] = s.Close() })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if len(addresses) != 5*stacks {
		t.Errorf("%d addresses for %d engines", len(addresses), 5*stacks)
	}
	goroutinesReturnTo(t, before)
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

// fake is an engine that starts as it is told to.
type fake struct {
	start func(ctx context.Context) error
	mu    *sync.Mutex
	calls *[]string
	name  string
}

func (f fake) note(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*f.calls = append(*f.calls, f.name+" "+what)
}

func (f fake) Start(ctx context.Context) error { f.note("start"); return f.start(ctx) }
func (f fake) Stop(context.Context) error      { f.note("stop"); return nil }
func (f fake) Kill(context.Context) error      { return nil }
func (f fake) Wipe(context.Context) error      { return nil }
func (f fake) Close() error                    { f.note("close"); return nil }
func (f fake) Info() engine.Info {
	return engine.Info{Features: features.Features{Name: "fake"}}
}

func TestOneEngineThatFailsTakesTheStackDown(t *testing.T) {
	for name, c := range map[string]struct {
		start func(ctx context.Context) error
		want  string
	}{
		"refuses": {func(context.Context) error { return errors.New("probe at 127.0.0.1:1: no PONG") },
			`start engine "fake" of "cache": probe at 127.0.0.1:1: no PONG`},
		"hangs": {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
			`start engine "fake" of "cache": context deadline exceeded`},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var calls []string
			dir := t.TempDir()
			s, err := stack.Up(t.Context(), stack.Options{
				Topology: system(), Dir: dir, ReadyWithin: 50 * time.Millisecond,
				NewEngine: func(cfg engine.Config) (engine.Engine, error) {
					f := fake{mu: &mu, calls: &calls, name: cfg.Node.Protocol,
						start: func(context.Context) error { return nil }}
					if cfg.Node.Name == "cache" {
						f.start = c.start
					}
					return f, nil
				},
			})
			if s != nil || err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
			closed := 0
			for _, call := range calls {
				if strings.HasSuffix(call, "close") {
					closed++
				}
			}
			left, _ := os.ReadDir(dir)
			if closed != 5 || len(left) > 0 {
				t.Errorf("%d of 5 engines closed, left behind %v", closed, left)
			}
		})
	}
}

func TestAPortInUseNamesNodeEngineAndAddress(t *testing.T) {
	taken, err := wire.New(wire.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	l, err := taken.Listen("other", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = stack.Up(t.Context(), stack.Options{
		Topology: system(), Dir: t.TempDir(),
		NewEngine: func(cfg engine.Config) (engine.Engine, error) {
			return fake{mu: new(sync.Mutex), calls: new([]string), start: func(context.Context) error {
				_, err := new(net.ListenConfig).Listen(t.Context(), "tcp", l.Addr().String())
				return err
			}}, nil
		},
	})
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) ||
		!strings.Contains(err.Error(), `start engine "fake" of "`) {
		t.Errorf("got %v, want the node, the engine and the address", err)
	}
}

func TestAnUnknownProtocolNamesThoseThereAre(t *testing.T) {
	unknown := &topology.Topology{Nodes: []*topology.Node{
		{Name: "old", Kind: topology.Broker, Protocol: "carrier-pigeon"},
	}}
	_, err := stack.Up(t.Context(), stack.Options{Topology: unknown, Dir: t.TempDir()})
	want := `make engine for "old": choose engine for "old": no embedded one speaks ` +
		`"carrier-pigeon"; there are kafka, mqtt, nats, postgres, pubsub, redis, s3`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func BenchmarkUp(b *testing.B) {
	for b.Loop() {
		s, err := stack.Up(b.Context(), stack.Options{Topology: system(), Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
