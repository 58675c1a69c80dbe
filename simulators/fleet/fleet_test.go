package fleet_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/httpx"
	"github.com/faultline-sim/faultline/simulators/fleet"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/simulators/record"
	"github.com/faultline-sim/faultline/simulators/service"
	"github.com/faultline-sim/faultline/simulators/service/fake"
	"github.com/faultline-sim/faultline/topology"
)

const fleetTopology = `topology: test
nodes:
  device:
    kind: fleet
    count: 3
    session: {reconnect: {initial: 100ms, factor: 2, max: 1s, jitter: 0}, inflight: 8}
    sends:
      reading: {to: in/reading/:id, body: {device: id, n: seq, t: now, temp: "uniform(0, 1)", mode: 'choice("a", "b")'}}
      ask: {to: worker POST /ask, timeout: 1s, retry: {attempts: 3, backoff: {initial: 100ms}, permanent: [4xx]}}
    handlers:
      command: {subscribe: in/command/:id, do: [{work: {p50: 5ms}}, {reply: {status: 200}}]}
      note: {subscribe: worker/note/:id}
  in: {kind: broker, protocol: mqtt}
  shelf: {kind: store, protocol: s3}
  worker:
    kind: service
    handlers:
      reading: {subscribe: in/reading/:id, do: [{work: {p50: 0s}}]}
      ask: {http: POST /ask, do: [{request: in/command/:id, timeout: 500ms}]}
      note: {http: POST /note, do: [{publish: worker/note/:id}]}
flows:
  reading: {path: device -> in/reading/:id -> worker, key: device}
  ask: {path: device -> worker -> in/command/:id -> device, reply_within: 2s}
  note: {derived_from: reading, path: worker -> worker/note/:id -> device}
`

// rig is a fleet and the worker it talks to.
type rig struct {
	t      testing.TB
	env    *simulators.Env
	bus    fake.Bus
	shelf  fake.Shelf
	fleet  *fleet.Fleet
	worker *service.Service
	mu     sync.Mutex
	events []history.Event
}

func newRig(t testing.TB) *rig {
	t.Helper()
	return newRigOf(t, fleetTopology)
}

func newRigOf(t testing.TB, yaml string) *rig {
	t.Helper()
	top, diags := topology.Parse("test.yaml", []byte(yaml), topology.Options{})
	for _, d := range diags.Sorted() {
		if d.Kind != "never-born" { // a test posts the notes
			t.Fatalf("parse topology: %s", d)
		}
	}
	r := &rig{t: t}
	recorder := record.Off()
	recorder.Count(r.see)
	r.env = &simulators.Env{
		Topology: top, Fabric: new(fake.Fabric), Recorder: recorder, Seed: 1, Key: make([]byte, 32),
	}
	clients := fake.Clients{Bus: &r.bus, Shelf: &r.shelf}
	var err error
	r.worker, err = service.New(service.Config{Env: r.env, Node: top.Node("worker"), Clients: clients})
	if err != nil {
		t.Fatal(err)
	}
	r.fleet, err = fleet.New(fleet.Config{Env: r.env, Node: top.Node("device"), Clients: clients})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []simulators.Node{r.worker, r.fleet} {
		if err := n.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Wait() // the members' first polls
	return r
}

func (r *rig) see(e *history.Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, *e)
	return false
}

func (r *rig) close() {
	r.t.Helper()
	for _, n := range []simulators.Node{r.fleet, r.worker} {
		if err := n.Close(); err != nil {
			r.t.Errorf("close %q: %v", n.Name(), err)
		}
	}
	synctest.Wait()
}

// rows are the fleet's events of one flow and kind, as text.
func (r *rig) rows(flow string, kind history.Kind) (rows []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Flow != flow || e.Kind != kind || e.Node != "device" {
			continue
		}
		outcome := []string{"begun", "ok", "fail", "unknown"}[e.Outcome]
		rows = append(rows, fmt.Sprintf("%d %s %s #%d after %v", e.Message, outcome, e.Reason, e.Attempt,
			time.Duration(e.Duration).Round(time.Millisecond)))
	}
	return rows
}

func TestSendInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.bus.Answer = func(ctx context.Context, _ string, m *message.Message) error {
			return simulators.Wait(ctx, time.Duration(1+m.Number%3)*10*time.Millisecond)
		}
		sent := map[string]int64{}
		for i := range int64(9) {
			r.fleet.Offer("reading", i, r.env.Recorder.Now())
		}
		time.Sleep(time.Second)
		var got, want []int64
		for member := range 3 {
			id := topology.MemberID("device", member)
			for _, m := range r.bus.Published("reading/" + id) {
				got, want = append(got, m.KeySeq), append(want, sent[id])
				sent[id]++
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got) != 9 {
			t.Errorf("order/slow broker/places of each key (-want +got):\n%s", diff)
		}
		if n := r.fleet.Pending(); n != 0 {
			t.Errorf("%d pending, want none", n)
		}
		r.close()
	})
}

func TestPublishUntilAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		refused := 2
		r.bus.Answer = func(context.Context, string, *message.Message) error {
			if refused == 0 {
				return nil
			}
			refused--
			return conn.ErrUnknown
		}
		r.fleet.Offer("reading", 0, r.env.Recorder.Now())
		time.Sleep(time.Second)
		r.close()
		want := []string{"0 unknown no_answer #1 after 0s", "0 unknown no_answer #2 after 0s", "0 ok  #3 after 0s"}
		if diff := cmp.Diff(want, r.rows("reading", history.Publish)); diff != "" {
			t.Errorf("tries (-want +got):\n%s", diff)
		}
		want = []string{"0 begun  #0 after 0s", "0 ok  #0 after 300ms"}
		if diff := cmp.Diff(want, r.rows("reading", history.Produce)); diff != "" {
			t.Errorf("at-least-once/no answer twice/ok since the intended time (-want +got):\n%s", diff)
		}
	})
}

// TestNoneIsNone: what is declared "none" of a send to a broker is not replaced by a default.
func TestNoneIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		declared := strings.Replace(fleetTopology, "to: in/reading/:id,",
			"to: in/reading/:id, timeout: none, retry: none,", 1)
		r := newRigOf(t, declared)
		r.bus.Answer = func(ctx context.Context, _ string, _ *message.Message) error {
			if err := simulators.Wait(ctx, time.Minute); err != nil {
				return err
			}
			return conn.ErrUnknown
		}
		r.fleet.Offer("reading", 0, r.env.Recorder.Now())
		time.Sleep(2 * time.Minute)
		r.close()
		want := []string{"0 unknown no_answer #1 after 1m0s"}
		if diff := cmp.Diff(want, r.rows("reading", history.Publish)); diff != "" {
			t.Errorf("timeout and retry of none/no answer for a minute/one try (-want +got):\n%s", diff)
		}
	})
}

func TestBufferFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.bus.Answer = func(ctx context.Context, _ string, _ *message.Message) error {
			<-ctx.Done()
			return ctx.Err()
		}
		for i := range int64(60) {
			r.fleet.Offer("reading", i, r.env.Recorder.Now())
		}
		synctest.Wait()
		if n := r.fleet.Pending(); n != 24 {
			t.Errorf("buffer/broker does not answer/%d pending, want 3 members × 8", n)
		}
		r.close()
		answered := map[string]int{}
		for _, e := range r.events {
			if e.Kind == history.Produce && e.Outcome != history.None {
				answered[e.Reason]++
			}
		}
		want := map[string]int{"buffer_full": 36, simulators.ReasonStopped: 24}
		if diff := cmp.Diff(want, answered); diff != "" {
			t.Errorf("every message is answered once (-want +got):\n%s", diff)
		}
	})
}

func TestRequestAndReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.fleet.Offer("ask", 0, r.env.Recorder.Now())
		time.Sleep(time.Second)
		r.close()
		if diff := cmp.Diff([]string{"0 ok  #0 after 5ms"}, r.rows("ask", history.Reply)); diff != "" {
			t.Errorf("reply/over the broker and back/at its source (-want +got):\n%s", diff)
		}
	})
}

func TestRequestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		if _, err := r.worker.Inject(simulators.Behavior{Kind: simulators.Outage}); err != nil {
			t.Fatal(err)
		}
		r.fleet.Offer("ask", 0, r.env.Recorder.Now())
		time.Sleep(time.Second)
		r.close()
		want := []string{"0 fail 503 #1 after 0s", "0 fail 503 #2 after 0s", "0 fail 503 #3 after 0s"}
		if diff := cmp.Diff(want, r.rows("ask", history.Call)); diff != "" {
			t.Errorf("retry/503/as declared (-want +got):\n%s", diff)
		}
		want = []string{"0 begun  #0 after 0s", "0 fail 503 #0 after 200ms"}
		if diff := cmp.Diff(want, r.rows("ask", history.Produce)); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
	})
}

func TestMailboxIsSunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		note := &message.Message{
			Flow: "note", Number: 4, Source: "test", Subject: topology.MemberID("device", 1),
			KeySeq: -1, ParentNumber: -1, Data: []byte(`{}`),
		}
		r.post("/note", note)
		time.Sleep(time.Second)
		sunk := map[int64]int{}
		r.fleet.Sunk("note", func(number int64, copies int) { sunk[number] = copies })
		if diff := cmp.Diff(map[int64]int{4: 1}, sunk); diff != "" {
			t.Errorf("delivery/over a mailbox/received (-want +got):\n%s", diff)
		}
		if n := r.worker.Busy(); n != 0 {
			t.Errorf("%d messages in the worker's hands, want none: the member acknowledged", n)
		}
		r.close()
	})
}

func TestMembersComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		type state struct{ Now, All int }
		connected := func() state {
			now, all := r.fleet.Connected()
			return state{now, all}
		}
		got := []state{connected()}
		lose := func(who simulators.Members) int {
			dropped := r.fleet.Disconnect(who)
			synctest.Wait()
			got = append(got, connected())
			time.Sleep(2 * time.Second)
			got = append(got, connected())
			return dropped
		}
		dropped := []int{
			lose(simulators.Members{Share: 0.67}), lose(simulators.Members{Share: 1, Only: []int{2}}),
		}
		want := []state{{3, 3}, {1, 3}, {3, 3}, {2, 3}, {3, 3}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("connected (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]int{2, 1}, dropped); diff != "" {
			t.Errorf("dropped by share, then member 2 alone (-want +got):\n%s", diff)
		}
		r.close()
	})
}

func TestBodiesAreFixedBySeed(t *testing.T) {
	draw := func() (bodies []string) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			for i := range int64(12) {
				r.fleet.Offer("reading", i, int64(i)*int64(time.Second))
			}
			time.Sleep(time.Second)
			for member := range 3 {
				for _, m := range r.bus.Published("reading/" + topology.MemberID("device", member)) {
					bodies = append(bodies, m.ID()+" "+string(m.Data))
				}
			}
			r.close()
		})
		return bodies
	}
	first := draw()
	if diff := cmp.Diff(first, draw()); diff != "" || len(first) != 12 {
		t.Errorf("%d bodies, the second time others (-first +second):\n%s", len(first), diff)
	}
}

// post sends one message to the worker.
func (r *rig) post(path string, m *message.Message) {
	r.t.Helper()
	c := httpx.NewClient(r.env.Fabric.Dialer(topology.Wire{From: "test", To: "worker"}, 0))
	defer c.Close()
	if got, err := c.Do(r.t.Context(), "POST", path, m); err != nil || got.Status != 200 {
		r.t.Fatalf("post %s: %v, %v", path, got, err)
	}
}
