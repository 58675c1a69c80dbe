package service_test

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
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/simulators/record"
	"github.com/faultline-sim/faultline/simulators/service"
	"github.com/faultline-sim/faultline/simulators/service/fake"
	"github.com/faultline-sim/faultline/topology"
)

// rig is one service between a bus and a shelf, under virtual time.
type rig struct {
	t       testing.TB
	env     *simulators.Env
	bus     fake.Bus
	shelf   fake.Shelf
	service *service.Service
	mu      sync.Mutex
	rows    []string
}

// handlerTopology is a topology in which worker has one handler, as YAML indented by six.
func handlerTopology(handler string) string {
	born := ""
	if strings.Contains(handler, "derive: note") {
		born = "  note: {derived_from: job, path: worker -> out/notes -> worker2 -> shelf, key: device}\n"
	}
	return `topology: test
nodes:
  device: {kind: fleet, sends: {job: {to: in/jobs/:id}}}
  in: {kind: broker, protocol: mqtt}
  out: {kind: broker, protocol: kafka}
  shelf: {kind: store, protocol: s3}
  worker2: {kind: service}
  worker:
    kind: service
    handlers:
      work:
` + handler + `
flows:
  job: {path: device -> in/jobs/:id -> worker, key: device}
` + born
}

func newRig(t testing.TB, yaml string, tweak func(*topology.Handler)) *rig {
	t.Helper()
	top, diags := topology.Parse("test.yaml", []byte(yaml), topology.Options{})
	for _, d := range diags.Sorted() {
		t.Fatalf("parse topology: %s", d)
	}
	if tweak != nil {
		tweak(top.Node("worker").Handlers[0])
	}
	r := &rig{t: t}
	recorder := record.Off()
	recorder.Count(r.see)
	r.env = &simulators.Env{
		Topology: top, Fabric: new(fake.Fabric), Recorder: recorder, Seed: 1, Key: make([]byte, 32),
	}
	var err error
	r.service, err = service.New(service.Config{
		Env: r.env, Node: top.Node("worker"), Clients: fake.Clients{Bus: &r.bus, Shelf: &r.shelf},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.service.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// see keeps an event as text: when it ended, what it was and how it went.
func (r *rig) see(e *history.Event) bool {
	if e.Kind == history.NodeState {
		return false
	}
	row := fmt.Sprintf("%v %v", time.Duration(e.At).Round(time.Millisecond), e.Kind)
	for _, part := range []string{outcome(e), e.Step, e.Reason} {
		if part != "" {
			row += " " + part
		}
	}
	if e.Attempt > 0 {
		row += fmt.Sprintf(" #%d", e.Attempt)
	}
	if e.Message >= 0 {
		row += " " + message.FormatID(e.Flow, e.Message)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, row)
	return false
}

func outcome(e *history.Event) string {
	return map[history.Outcome]string{
		history.Ok: "ok", history.Fail: "fail", history.Unknown: "unknown",
	}[e.Outcome]
}

// script is one situation of a handler, and the history it must give.
type script struct {
	handler string
	tweak   func(*topology.Handler) // as built
	play    func(r *rig)
	want    []string
}

func play(t *testing.T, cases map[string]script) {
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, handlerTopology(c.handler), c.tweak)
				c.play(r)
				r.want(c.want...)
			})
		})
	}
}

// one sends one job while the first publishes to a channel fail, and lets time pass.
func one(channel string, fail int, wait time.Duration) func(*rig) {
	return func(r *rig) {
		r.failing(channel, fail, errDown)
		r.send(0, `{}`)
		time.Sleep(wait)
	}
}

// send gives the worker one job and waits until nothing moves but time.
func (r *rig) send(number int64, data string) {
	r.bus.Send("jobs/d-1", r.job(number, data))
	synctest.Wait()
}

func (r *rig) job(number int64, data string) *message.Message {
	return &message.Message{
		Flow: "job", Number: number, Source: "device/0", Subject: "d-1", Time: time.Now(),
		Trace: r.env.Trace("job", number), Key: "d-1", KeySeq: number, ParentNumber: -1, Data: []byte(data),
	}
}

// want closes the service and compares all that was recorded.
func (r *rig) want(rows ...string) {
	r.t.Helper()
	r.close()
	if diff := cmp.Diff(rows, r.rows); diff != "" {
		r.t.Errorf("history (-want +got):\n%s", diff)
	}
}

func (r *rig) close() {
	r.t.Helper()
	if err := r.service.Close(); err != nil {
		r.t.Errorf("close: %v", err)
	}
	synctest.Wait()
}

// failing makes the first n publishes to a channel fail.
func (r *rig) failing(channel string, n int, err error) {
	var mu sync.Mutex
	r.bus.Answer = func(_ context.Context, to string, _ *message.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if to != channel || n == 0 {
			return nil
		}
		n--
		return err
	}
}

var errDown = fmt.Errorf("it is down: %w", conn.ErrUnknown)
