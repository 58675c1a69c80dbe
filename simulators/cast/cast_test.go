package cast_test

import (
	"context"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/auth"
	"github.com/faultline-sim/faultline/simulators/cast"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/simulators/record"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/stack"
)

var key = []byte("0123456789abcdef0123456789abcdef")

// system is a topology that runs.
type system struct {
	t     testing.TB
	env   *simulators.Env
	stack *stack.Stack
	cast  *cast.Cast
	dir   string
	ended bool
}

// up brings a topology's file to life on embedded engines.
func up(t testing.TB, file string) *system {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	top, diags := topology.Parse(file, text, topology.Options{})
	if !diags.Empty() {
		t.Fatalf("parse %s:\n%s", file, diags.String())
	}
	s := &system{t: t, dir: t.TempDir()}
	recorder, err := record.New(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	s.env = &simulators.Env{
		Topology: top, Recorder: recorder, Seed: 7, TracePrefix: [8]byte{0xfa, 1, 2, 3, 4, 5, 6, 7}, Key: key,
	}
	authority, err := auth.New(key)
	if err != nil {
		t.Fatal(err)
	}
	s.stack, err = stack.Up(t.Context(), stack.Options{
		Topology: top, Dir: t.TempDir(),
		Authenticate: func(n *topology.Node) func(user, password string) error {
			if n.Authenticates == "" {
				return nil
			}
			return authority.CheckUser
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	s.env.Fabric = s.stack.Fabric()
	if s.cast, err = cast.New(s.env); err != nil {
		t.Fatal(err)
	}
	if err := s.cast.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// end closes everything, so that the history can be read.
func (s *system) end() {
	if s.ended {
		return
	}
	s.ended = true
	if s.cast != nil {
		if err := s.cast.Close(); err != nil {
			s.t.Errorf("close cast: %v", err)
		}
	}
	if err := s.stack.Close(); err != nil {
		s.t.Errorf("close stack: %v", err)
	}
	if err := s.env.Recorder.Close(true); err != nil {
		s.t.Errorf("close recorder: %v", err)
	}
	if n := s.env.Recorder.Late(); n != 0 {
		s.t.Errorf("%d events were recorded after the end", n)
	}
}

// events ends the system and reads its history.
func (s *system) events() (all []history.Event) {
	s.t.Helper()
	s.end()
	r, err := history.Open(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for e := range r.Events {
		all = append(all, *e)
	}
	if r.Err() != nil {
		s.t.Fatal(r.Err())
	}
	return all
}

// until waits for a condition; it fails the test when it does not come true in time.
func (s *system) until(what string, holds func() bool) {
	s.t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for tick := time.NewTicker(5 * time.Millisecond); !holds(); <-tick.C {
		select {
		case <-deadline.C:
			s.t.Fatalf("not in time: %s", what)
		default:
		}
	}
}

// stored counts the copies of a flow's messages in a table of a store.
func (s *system) stored(store, table, flow string) map[int64]int {
	s.t.Helper()
	n := s.env.Topology.Node(store)
	client, err := cast.Clients().Store(n.Protocol, conn.Config{
		Dialer: s.env.Fabric.Dialer(topology.Wire{From: "@audit", To: store}, 0), Client: "audit",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	if err := client.Connect(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	found := map[int64]int{}
	err = client.Audit(s.t.Context(), table, func(m *message.Message, copies int) error {
		if m.Flow == flow {
			found[m.Number] += copies
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// all is one copy each of n messages.
func all(n int64) map[int64]int {
	want := map[int64]int{}
	for i := range n {
		want[i] = 1
	}
	return want
}

func TestDeliveryOverCrash(t *testing.T) {
	s := up(t, "testdata/pipeline.yaml")
	const n = 300
	source := s.cast.Source("reading")
	worker := s.cast.Node("worker").(simulators.Replicated)
	for i := range int64(n) {
		source.Offer("reading", i, s.env.Recorder.Now())
		switch i {
		case 100:
			if err := worker.CrashReplica(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
		case 200:
			if err := worker.StartReplica(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	stored := func() map[int64]int { return s.stored("lake", "readings", "reading") }
	s.until("every message is in the lake", func() bool { return len(stored()) == n })
	if diff := cmp.Diff(all(n), stored()); diff != "" {
		t.Errorf("delivery/crash and restart/lost (-want +got):\n%s", diff)
	}
	accepted, seq := map[int64]int{}, map[string]int64{}
	for _, e := range s.events() {
		switch {
		case e.Kind == history.Produce && e.Outcome == history.Ok:
			accepted[e.Message]++
		case e.Kind == history.Store && e.Outcome == history.Ok && e.Delivery == 1:
			if e.KeySeq != seq[e.Key] {
				t.Errorf("order/crash and restart/%s stored %d, want %d next", e.Key, e.KeySeq, seq[e.Key])
			}
			seq[e.Key] = e.KeySeq + 1
		}
	}
	if diff := cmp.Diff(all(n), accepted); diff != "" {
		t.Errorf("answered at the source (-want +got):\n%s", diff)
	}
}

func TestRequestsAndAlerts(t *testing.T) {
	before := runtime.NumGoroutine()
	s := up(t, "testdata/pipeline.yaml")
	const n = 60
	for i := range int64(n) {
		s.cast.Source("reading").Offer("reading", i, s.env.Recorder.Now())
		s.cast.Source("command").Offer("command", i, s.env.Recorder.Now())
	}
	s.until("nothing is in hand", func() bool { return s.cast.Busy() == 0 })
	s.until("every message is in the lake", func() bool {
		return len(s.stored("lake", "readings", "reading")) == n
	})
	s.until("nothing is in hand", func() bool { return s.cast.Busy() == 0 })
	sunk := map[int64]int{}
	s.cast.Node("app").(simulators.Crowd).Sunk("alert", func(number int64, copies int) { sunk[number] = copies })
	born, replies := map[int64]int{}, map[int64]int{}
	for _, e := range s.events() {
		switch {
		case e.Kind == history.Derive:
			born[e.Message]++
		case e.Kind == history.Reply:
			replies[e.Message]++
		}
	}
	if diff := cmp.Diff(born, sunk); diff != "" || len(born) == 0 {
		t.Errorf("alerts born (%d) and received (-want +got):\n%s", len(born), diff)
	}
	if diff := cmp.Diff(all(n), replies); diff != "" {
		t.Errorf("commands answered (-want +got):\n%s", diff)
	}
	s.until("no goroutine is left", func() bool { return runtime.NumGoroutine() <= before+2 })
}

func TestStartSaysWhatItWaitedFor(t *testing.T) {
	s := up(t, "testdata/pipeline.yaml")
	if err := s.cast.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.stack.Engine("stream").Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := cast.New(s.env)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err = again.Start(ctx)
	if err == nil || !strings.Contains(err.Error(), `connect to "stream"`) {
		t.Errorf("start without its broker = %v, want the broker named", err)
	}
	if err := again.Close(); err != nil {
		t.Errorf("close what did not start: %v", err)
	}
}
