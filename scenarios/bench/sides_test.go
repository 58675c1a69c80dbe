package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/scenarios/bench/byhand"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/auth"
	"github.com/faultline-sim/faultline/simulators/cast"
	"github.com/faultline-sim/faultline/simulators/record"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/d2"
	"github.com/faultline-sim/faultline/topology/stack"
	"github.com/faultline-sim/faultline/topology/wire"
)

const (
	topologyFile = "../../topology/examples/iot-platform.yaml"
	flow         = "telemetry"
	patience     = 20 // timeouts are so much longer
)

// side is one of the two pipelines that are compared.
type side interface {
	send(number int64, intended time.Time)
	close() error
}

// arrivals are the messages that have come to their ends. Its methods are safe for concurrent use.
type arrivals struct {
	stored, loaded []atomic.Int64 // by number: ns since began; 0 is not yet
	lake, house    atomic.Int64   // how many
	began          time.Time
	sent           int64         // the next number; of the sending goroutine
	room           chan struct{} // one token a message under way to the lake; nil is unbounded
	failed         atomic.Pointer[error]
}

func newArrivals(messages, window int) *arrivals {
	a := &arrivals{
		stored: make([]atomic.Int64, messages), loaded: make([]atomic.Int64, messages),
		began: time.Now(),
	}
	if window > 0 {
		a.room = make(chan struct{}, window)
	}
	return a
}

func (a *arrivals) store(number int64) {
	if !a.stored[number].CompareAndSwap(0, int64(time.Since(a.began))) {
		return
	}
	a.lake.Add(1)
	if a.room != nil {
		<-a.room
	}
}

func (a *arrivals) load(number int64) {
	if a.loaded[number].CompareAndSwap(0, int64(time.Since(a.began))) {
		a.house.Add(1)
	}
}

func (a *arrivals) fail(err error) { a.failed.CompareAndSwap(nil, &err) }

func (a *arrivals) err() error {
	if err := a.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// loadSystem is the iot-platform without simulated work: what is measured is what messages cost,
// not how long workers were told to sleep. Timeouts are longer, so that a busy machine breaks
// nothing, and no reading is hot enough for an alert, which is another flow.
func loadSystem() (*topology.Topology, error) {
	t, diags, err := topology.Load(topologyFile, topology.Options{Draw: d2.Draw(d2.Options{}, nil)})
	if err != nil || !diags.Empty() {
		return nil, errors.Join(err, errors.New(diags.String()))
	}
	for _, n := range t.Nodes {
		for _, h := range n.Handlers {
			h.Policy.Timeout *= patience
			h.Do = unhurried(h.Do)
		}
		for _, s := range n.Sends {
			if s.Flow == flow {
				s.Body["temp"] = "normal(40, 5)"
			}
		}
	}
	return t, nil
}

func unhurried(steps []*topology.Step) (kept []*topology.Step) {
	for _, s := range steps {
		if s.Kind != topology.Work {
			s.Policy.Timeout *= patience
			s.Do = unhurried(s.Do)
			kept = append(kept, s)
		}
	}
	return kept
}

// simulated is the flow as Faultline runs it: every wire through its proxy, every event recorded.
type simulated struct {
	recorder *record.Recorder
	stack    *stack.Stack
	cast     *cast.Cast
	source   simulators.Source
	counters []*record.Counter
}

// wires is what carries the simulated flow.
type wires string

const (
	inMemory wires = "memory"      // both ends of each wire
	near     wires = "near memory" // the dialler's end; the far one is a socket
	sockets  wires = "sockets"
)

// simulate brings the whole iot-platform up. The side owns the recorder.
func simulate(ctx context.Context, r *record.Recorder, over wires, a *arrivals) (side, error) {
	t, err := loadSystem()
	if err != nil {
		return nil, err
	}
	key := []byte("0123456789abcdef0123456789abcdef")
	authority, err := auth.New(key)
	if err != nil {
		return nil, err
	}
	env := &simulators.Env{
		Topology: t, Recorder: r, Seed: 1, Key: key, TracePrefix: [8]byte{0xfa, 1, 2, 3, 4, 5, 6, 7},
	}
	s := &simulated{recorder: r}
	transport := wire.Memory
	if over == sockets {
		transport = wire.TCP
	}
	s.stack, err = stack.Up(ctx, stack.Options{
		Topology: t, Fabric: wire.Options{Marker: "00-fa01020304050607", Transport: transport},
		Authenticate: func(n *topology.Node) func(user, password string) error {
			if n.Authenticates == "" {
				return nil
			}
			return authority.CheckUser
		},
	})
	if err != nil {
		return nil, err
	}
	env.Fabric = s.stack.Fabric()
	if over == near {
		err = onSockets(env.Fabric, t)
	}
	if err == nil {
		s.cast, err = cast.New(env)
	}
	if err == nil {
		err = s.cast.Start(ctx)
	}
	if err == nil && over == near {
		err = onSockets(env.Fabric, t) // services too, which nobody has called yet
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.source = s.cast.Source(flow)
	s.watch("data_core.data_api", a.store)
	s.watch("data_core.etl_service", a.load)
	return s, nil
}

// onSockets makes all that listens by now be dialled over its socket.
func onSockets(f wire.Fabric, t *topology.Topology) error {
	var errs []error
	for _, n := range t.Nodes {
		at := f.Dialer(topology.Wire{From: wire.AuditFrom, To: n.Name}, 0).Endpoints()
		for replica, addr := range at {
			errs = append(errs, f.Announce(n.Name, replica, addr))
		}
	}
	return errors.Join(errs...)
}

// watch tells of each message that a node has stored.
func (s *simulated) watch(node string, stored func(int64)) {
	s.counters = append(s.counters, s.recorder.Count(func(e *history.Event) bool {
		ours := e.Kind == history.Store && e.Outcome == history.Ok && e.Node == node && e.Flow == flow
		if ours {
			stored(e.Message)
		}
		return ours
	}))
}

func (s *simulated) send(number int64, intended time.Time) {
	s.source.Offer(flow, number, s.recorder.Now()-int64(time.Since(intended)))
}

func (s *simulated) close() error {
	for _, c := range s.counters {
		c.Stop()
	}
	var errs []error
	if s.cast != nil {
		errs = append(errs, s.cast.Close())
	}
	return errors.Join(append(errs, s.stack.Close(), s.recorder.Close(true))...)
}

// handWritten is the flow as package byhand writes it, on the same engines.
type handWritten struct {
	stack    *stack.Stack
	pipeline *byhand.Pipeline
	rand     *rand.Rand
	devices  int
}

func writeByHand(ctx context.Context, _ string, a *arrivals) (side, error) {
	t, err := loadSystem()
	if err != nil {
		return nil, err
	}
	h := &handWritten{rand: rand.New(rand.NewPCG(1, 2)), devices: t.Node("device.hw").Count}
	if h.stack, err = stack.Up(ctx, stack.Options{Topology: t}); err != nil {
		return nil, err
	}
	fabric := h.stack.Fabric()
	listener, err := fabric.Listen("data_core.data_api", 0)
	if err != nil {
		return nil, errors.Join(err, h.stack.Close())
	}
	at := func(node string) []string {
		return fabric.Dialer(topology.Wire{From: "byhand", To: node}, 0).Endpoints()
	}
	const messaging = "service_platform.core.messaging"
	h.pipeline, err = byhand.New(ctx, byhand.Config{
		MQTT: at(messaging + ".mqtt")[0], Kafka: at(messaging + ".stream"),
		S3: at("data_core.datalake")[0], Postgres: at("data_core.data_warehouse")[0],
		API: listener, Devices: h.devices, Stored: a.store, Loaded: a.load, Failed: a.fail,
	})
	if err != nil {
		return nil, fmt.Errorf("start by hand: %w", errors.Join(err, h.stack.Close()))
	}
	return h, nil
}

func (h *handWritten) send(number int64, intended time.Time) {
	h.pipeline.Send(h.rand.IntN(h.devices), number, intended)
}

func (h *handWritten) close() error { return errors.Join(h.pipeline.Close(), h.stack.Close()) }
