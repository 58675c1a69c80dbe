// Package conformance holds every store's client and engine to the one contract of conn.Store,
// through the real fabric.
//
// It has only tests: what a store client promises stands here once, for all protocols.
package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/postgres"
	"github.com/faultline-sim/faultline/simulators/conn/redis"
	"github.com/faultline-sim/faultline/simulators/conn/s3"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/features"
	"github.com/faultline-sim/faultline/topology/stack"
	"github.com/faultline-sim/faultline/topology/wire"
)

// protocols are the stores under test.
var protocols = map[string]func(conn.Config) (conn.Store, error){
	"s3":       func(c conn.Config) (conn.Store, error) { return s3.New(c) },
	"postgres": func(c conn.Config) (conn.Store, error) { return postgres.New(c) },
	"redis":    func(c conn.Config) (conn.Store, error) { return redis.New(c) },
}

const table = "records"

var toStore = topology.Wire{From: "app", To: "store"}

// bed is a store that runs, and a client of it.
type bed struct {
	stack *stack.Stack
	store conn.Store
}

// each runs a test against every store.
func each(t *testing.T, test func(t *testing.T, b bed)) {
	for protocol := range protocols {
		t.Run(protocol, func(t *testing.T) { test(t, newBed(t, protocol)) })
	}
}

func newBed(t testing.TB, protocol string) bed {
	t.Helper()
	s, err := stack.Up(t.Context(), stack.Options{
		Topology: &topology.Topology{Nodes: []*topology.Node{
			{Name: "app", Kind: topology.Service, Replicas: 1},
			{Name: "store", Kind: topology.Store, Protocol: protocol},
		}},
		Fabric:  wire.Options{Wires: []topology.Wire{toStore}},
		Engines: engines,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	b := bed{stack: s, store: client(t, s, protocol)}
	ready(t, b.store)
	return b
}

func client(t testing.TB, s *stack.Stack, protocol string) conn.Store {
	t.Helper()
	c, err := protocols[protocol](conn.Config{
		Dialer: s.Fabric().Dialer(toStore, 0), Client: "app-0",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func ready(t testing.TB, c conn.Store) {
	t.Helper()
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Declare(t.Context(), []string{table}); err != nil {
		t.Fatal(err)
	}
}

func numbered(n int64) *message.Message {
	return &message.Message{
		Flow: "telemetry", Number: n, Source: "device.hw/17", Subject: "hw-17",
		Time:  time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		Trace: [16]byte{1, 2, 15: byte(n)}, Span: [8]byte{7: 1},
		Key: "hw-17", KeySeq: n, ParentNumber: -1,
		Data: fmt.Appendf(nil, `{"temp":%d}`, n),
	}
}

// found is a table's audit: copies by id.
func found(t *testing.T, c conn.Store) map[string]int {
	t.Helper()
	all := map[string]int{}
	err := c.Audit(t.Context(), table, func(m *message.Message, copies int) error {
		if _, twice := all[m.ID()]; twice {
			return fmt.Errorf("%q is reported twice", m.ID())
		}
		all[m.ID()] = copies
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func one(m *message.Message) []*message.Message { return []*message.Message{m} }

func TestMessagesComeBackAsTheyWere(t *testing.T) {
	plain := numbered(0)
	unicode := numbered(1).With(func(m *message.Message) {
		m.Flow, m.Key, m.Subject = "주문-온도", "장치/17 %2F", "김:*?[a]'\"\\"
		m.Data = []byte(`{"이름":"도깨비 👹\u0000"}`)
	})
	empty := numbered(2).With(func(m *message.Message) { m.Data = nil })
	binary := numbered(3).With(func(m *message.Message) { m.Data = []byte{0, 0xff, '\'', '\n'} })
	large := numbered(4).With(func(m *message.Message) {
		m.Data = append(append([]byte(`{"a":"`), bytes.Repeat([]byte("x"), 1<<20)...), `"}`...)
	})
	dead := numbered(5).With(func(m *message.Message) {
		m.Headers = map[string]string{"reason": "schema: 온도", "attempts": "3"}
		m.ParentFlow, m.ParentNumber, m.Attempt = "telemetry", 7, 2
	})
	all := []*message.Message{plain, unicode, empty, binary, large, dead}
	each(t, func(t *testing.T, b bed) {
		if err := b.store.Put(t.Context(), table, all); err != nil {
			t.Fatal(err)
		}
		for _, want := range all {
			got, err := b.store.Get(t.Context(), table, want.ID())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmp.Comparer(bytes.Equal)); diff != "" {
				t.Errorf("message %q changed (-put +got):\n%s", want.ID(), diff)
			}
		}
	})
}

func TestPutIsOnceAndAppendIsEachTime(t *testing.T) {
	each(t, func(t *testing.T, b bed) {
		ctx := t.Context()
		a, c, d := numbered(1), numbered(10), numbered(2)
		for _, err := range []error{
			b.store.Put(ctx, table, []*message.Message{a, c}),
			b.store.Put(ctx, table, one(a)),
			b.store.Append(ctx, table, []*message.Message{c, d}),
			b.store.Append(ctx, table, one(d)),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		want := map[string]int{"telemetry-1": 1, "telemetry-10": 2, "telemetry-2": 2}
		if diff := cmp.Diff(want, found(t, b.store)); diff != "" {
			t.Errorf("copies (-want +found):\n%s", diff)
		}
		got, err := b.store.Get(ctx, table, d.ID())
		if diff := cmp.Diff(d, got); diff != "" || err != nil {
			t.Errorf("appended message (-put +got): %v\n%s", err, diff)
		}
		if _, err := b.store.Get(ctx, table, "telemetry-3"); !errors.Is(err, conn.ErrNotFound) {
			t.Errorf("got %v for a message that is not there, want ErrNotFound", err)
		}
	})
}

func TestAuditReadsEveryRow(t *testing.T) {
	// Several pages each; an object is a request of its own, so there are fewer of them.
	rows := map[string]int{"s3": 2500, "postgres": 5000, "redis": 5000}
	each(t, func(t *testing.T, b bed) {
		want := map[string]int{}
		all := make([]*message.Message, rows[b.stack.Infos()[0].Protocol])
		for i := range all {
			all[i] = numbered(int64(i))
			want[all[i].ID()] = 1
		}
		if err := b.store.Put(t.Context(), table, all); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, found(t, b.store)); diff != "" {
			t.Errorf("rows (-put +found):\n%s", diff)
		}
	})
}

func TestWritersAtOnceDoNotDisturbEachOther(t *testing.T) {
	const writers, apiece, shared = 16, 40, 5
	each(t, func(t *testing.T, b bed) {
		errs := make([]error, writers)
		var group sync.WaitGroup
		want := map[string]int{}
		for w := range writers {
			for i := range apiece {
				want[numbered(int64(1000*w*min(1, i/shared)+i)).ID()] = 1
			}
			group.Go(func() {
				for i := range apiece { // the first few ids are every writer's
					m := numbered(int64(1000*w*min(1, i/shared) + i))
					if err := b.store.Put(t.Context(), table, one(m)); err != nil {
						errs[w] = err
						return
					}
				}
			})
		}
		group.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, found(t, b.store)); diff != "" {
			t.Errorf("rows (-put +found):\n%s", diff)
		}
	})
}

func TestDataIsKeptOverARestartAndForgottenByAWipe(t *testing.T) {
	each(t, func(t *testing.T, b bed) {
		ctx, e := t.Context(), b.stack.Engine("store")
		if err := b.store.Put(ctx, table, one(numbered(1))); err != nil {
			t.Fatal(err)
		}
		addr := b.stack.Fabric().Dialer(toStore, 0).Endpoints()
		kept := map[string]int{}
		if e.Info().Able(features.KeepsData) {
			kept["telemetry-1"] = 1
		}
		for name, stop := range map[string]func(context.Context) error{"stop": e.Stop, "kill": e.Kill} {
			if err := errors.Join(stop(ctx), e.Start(ctx)); err != nil {
				t.Fatalf("%s and start: %v", name, err)
			}
			if diff := cmp.Diff(kept, eventually(t, b.store)); diff != "" {
				t.Errorf("after %s (-want +found):\n%s", name, diff)
			}
		}
		if diff := cmp.Diff(addr, b.stack.Fabric().Dialer(toStore, 0).Endpoints()); diff != "" {
			t.Errorf("address (-before +after):\n%s", diff)
		}
		if err := errors.Join(e.Stop(ctx), e.Wipe(ctx), e.Start(ctx)); err != nil {
			t.Fatal(err)
		}
		reconnect(t, b.store)
		if diff := cmp.Diff(map[string]int{}, found(t, b.store)); diff != "" {
			t.Errorf("after a wipe (-want +found):\n%s", diff)
		}
	})
}

// reconnect asks until the client has replaced the connections that a fault has closed; each asking
// uses one of them up. A client may keep pools apart (go-redis has one for pipelines), so it reads
// a row and all of them.
func reconnect(t *testing.T, c conn.Store) {
	t.Helper()
	var err error
	for range 100 {
		if err = c.Declare(t.Context(), []string{table}); err != nil {
			continue
		}
		if _, err = c.Get(t.Context(), table, "none"); !errors.Is(err, conn.ErrNotFound) {
			continue
		}
		if err = c.Audit(t.Context(), table, ignore); err == nil {
			return
		}
	}
	t.Fatal(err)
}

func ignore(*message.Message, int) error { return nil }

func eventually(t *testing.T, c conn.Store) map[string]int {
	t.Helper()
	reconnect(t, c)
	return found(t, c)
}

func TestABlackHoleEndsAtTheDeadlineAndIsUnknown(t *testing.T) {
	each(t, func(t *testing.T, b bed) {
		hole := inject(t, b, wire.Fault{
			Name: "hole", Wire: toStore, Replica: -1, Kind: wire.Timeout, Direction: wire.Replies,
		})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		err := b.store.Put(ctx, table, one(numbered(1)))
		if !errors.Is(err, conn.ErrUnknown) {
			t.Errorf("got %v, want an error that wraps ErrUnknown", err)
		}
		if err := hole.Heal(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.store.Put(t.Context(), table, one(numbered(1))); err != nil {
			reconnect(t, b.store)
			if err := b.store.Put(t.Context(), table, one(numbered(1))); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(map[string]int{"telemetry-1": 1}, found(t, b.store)); diff != "" {
			t.Errorf("after the heal (-want +found):\n%s", diff)
		}
	})
}

func TestACutInMidRequestIsAnErrorAndHeals(t *testing.T) {
	each(t, func(t *testing.T, b bed) {
		slow := inject(t, b, wire.Fault{
			Name: "slow", Wire: toStore, Replica: -1, Kind: wire.Latency,
			Direction: wire.Replies, Latency: time.Minute,
		})
		answered := make(chan error, 1)
		go func() { answered <- b.store.Put(t.Context(), table, one(numbered(1))) }()
		for slow.Touched() == 0 {
			select {
			case err := <-answered:
				t.Fatalf("answered %v over a wire that takes a minute", err)
			case <-time.After(time.Millisecond):
			}
			if requests, _ := b.stack.Fabric().Bytes(toStore); requests > 0 {
				break
			}
		}
		cut := inject(t, b, wire.Fault{
			Name: "cut", Wire: toStore, Replica: -1, Kind: wire.Cut, Direction: wire.Both,
		})
		if err := <-answered; err == nil {
			t.Error("a request that was cut off was answered")
		}
		if err := b.store.Put(t.Context(), table, one(numbered(2))); err == nil {
			t.Error("a request over a cut wire was answered")
		}
		if err := errors.Join(cut.Heal(t.Context()), slow.Heal(t.Context())); err != nil {
			t.Fatal(err)
		}
		reconnect(t, b.store)
		if err := b.store.Put(t.Context(), table, one(numbered(3))); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseReturnsWhileARequestHangs(t *testing.T) {
	each(t, func(t *testing.T, b bed) {
		inject(t, b, wire.Fault{
			Name: "hole", Wire: toStore, Replica: -1, Kind: wire.Timeout, Direction: wire.Both,
		})
		answered := make(chan error, 1)
		go func() { answered <- b.store.Put(t.Context(), table, one(numbered(1))) }()
		if err := b.store.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-answered; err == nil {
			t.Error("a request of a closed client was answered")
		}
	})
}

func inject(t *testing.T, b bed, f wire.Fault) wire.Injection {
	t.Helper()
	i, err := b.stack.Fabric().Inject(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return i
}
