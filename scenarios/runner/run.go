package runner

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/auth"
	"github.com/faultline-sim/faultline/simulators/cast"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/record"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/features"
	"github.com/faultline-sim/faultline/topology/stack"
	"github.com/faultline-sim/faultline/topology/wire"
)

// run is one execution of a plan. It owns everything it started.
type run struct {
	plan      *scenarios.Plan
	opt       Options
	recorder  *record.Recorder
	env       *simulators.Env
	stack     *stack.Stack
	cast      *cast.Cast
	auditors  *auditors
	consumed  []consumed
	wires     []topology.Wire
	wireNames []string
	seen      [][2]int64 // bytes last recorded for each wire, by the sampler alone
	scratch   string     // in memory, "" for none
	origin    int64      // when steady began, on the recorder's clock
	asked     int64
	sent      atomic.Int64
	inForce   atomic.Int64
	out       Outcome
	mu        sync.Mutex
	current   string                   // phase
	telling   sync.Mutex               // one progress at a time
	turns     map[string]chan struct{} // by broker and store: who holds it may use its engine
}

// sealVirtually is how often the history is sealed in virtual time, at least: half a minute goes by in
// a second or two.
const sealVirtually = 30 * time.Second

func newRun(p *scenarios.Plan, opt Options) (*run, error) {
	recording := record.Options{}
	if p.Time == scenarios.VirtualTime {
		recording = record.Options{InOrder: true, Every: sealVirtually}
	}
	recorder, err := record.NewWith(opt.Dir, recording)
	if err != nil {
		return nil, fmt.Errorf("begin history in %q: %w", opt.Dir, err)
	}
	r := &run{plan: p, opt: opt, recorder: recorder, turns: map[string]chan struct{}{}}
	for _, n := range p.AsBuilt.Nodes {
		r.turns[n.Name] = make(chan struct{}, 1)
	}
	for _, f := range p.Flows {
		r.asked += f.Messages
	}
	r.wires = p.AsBuilt.Wires()
	r.seen = make([][2]int64, len(r.wires))
	for _, w := range r.wires {
		r.wireNames = append(r.wireNames, w.String())
	}
	return r, nil
}

// identity is what the run is known by inside its own messages: a trace prefix and a signing key,
// both made from the scenario, the seed and the moment, so that no two runs share them.
func (r *run) identity() (prefix [8]byte, key []byte) {
	var moment [16]byte
	binary.BigEndian.PutUint64(moment[:8], r.plan.Seed)
	binary.BigEndian.PutUint64(moment[8:], uint64(time.Now().UnixNano()))
	sum := sha256.Sum256(append(moment[:], r.plan.Name...))
	copy(prefix[:], sum[:8])
	return prefix, append([]byte(nil), sum[8:]...)
}

// setUp brings everything up; it returns when every engine answers and every simulator is ready.
func (r *run) setUp(ctx context.Context) error {
	r.phase(scenarios.PhaseSetup)
	r.recorder.SchedDelay()
	r.askedGauges()
	prefix, key := r.identity()
	r.env = &simulators.Env{
		Topology: r.plan.AsBuilt, Recorder: r.recorder, Seed: r.plan.Seed, TracePrefix: prefix, Key: key,
		Code: r.opt.Code, Run: filepath.Base(filepath.Dir(r.opt.Dir)),
		Logs: filepath.Join(filepath.Dir(r.opt.Dir), "logs"), Apart: r.apart(),
		Progress: func(node, what string) {
			r.tell(Progress{Text: node + ": " + what, Long: true})
		},
	}
	authority, err := auth.New(key)
	if err != nil {
		return r.notUp(ctx, err)
	}
	r.stack, err = stack.Up(ctx, stack.Options{
		Engines:  r.plan.Engines,
		Images:   r.opt.Images,
		Disks:    r.plan.Disks(),
		Topology: r.plan.AsBuilt,
		Fabric: wire.Options{
			Transport: r.transport(),
			Marker:    wire.Marker("00-" + hex.EncodeToString(prefix[:])),
			APIPort:   r.opt.APIPort,
			Log:       r.opt.Log,
			OnControl: r.controlled,
			Replicas:  r.replicas,
		},
		Dir:          r.enginesDir(), // for clean to find
		Run:          filepath.Base(filepath.Dir(r.opt.Dir)),
		Log:          r.opt.Log,
		Authenticate: authenticate(authority),
		Progress:     r.engineProgress,
	})
	if err != nil {
		return r.notUp(ctx, err)
	}
	r.out.Engines, r.out.Transport = map[string]engine.Info{}, r.transport()
	for _, i := range r.stack.Infos() {
		r.out.Engines[i.Node] = i.Info
	}
	if api := r.stack.Fabric().API(); api != "" {
		r.say("toxiproxy API on %s", api)
	}
	r.env.Fabric = r.stack.Fabric()
	if r.cast, err = cast.New(r.env); err != nil {
		return r.notUp(ctx, err)
	}
	if err := r.cast.Start(ctx); err != nil {
		return r.notUp(ctx, err)
	}
	r.auditors = newAuditors(r.env)
	r.consumed, err = r.auditors.consumed(ctx, r.plan.AsBuilt)
	if err != nil {
		return r.notUp(ctx, err)
	}
	if err := r.auditors.declare(ctx, r.plan.Promise); err != nil {
		return r.notUp(ctx, err)
	}
	r.say("ready after %s", time.Duration(r.recorder.Now()).Round(time.Millisecond))
	return nil
}

// transport is what carries bytes between what runs in this process.
func (r *run) transport() wire.Transport {
	switch {
	case r.plan.Time == scenarios.VirtualTime:
		return wire.Virtual
	case r.opt.TCP:
		return wire.TCP
	}
	return wire.Memory
}

// apart is how far apart what is started together begins: in virtual time nobody else decides it.
func (r *run) apart() time.Duration {
	if r.plan.Time == scenarios.VirtualTime {
		return 251 * time.Microsecond
	}
	return 0
}

// enginesDir is where engines keep their data: with the run's other files or, in virtual time, in memory.
func (r *run) enginesDir() string {
	if r.plan.Time == scenarios.VirtualTime {
		r.scratch = scratch()
	}
	return cmp.Or(r.scratch, filepath.Dir(r.opt.Dir))
}

// notUp is a setup that did not end well: the user stopped it, or the environment failed.
func (r *run) notUp(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, context.Canceled) {
		return &StoppedError{Phase: scenarios.PhaseSetup, Err: cause}
	}
	return &EnvironmentError{fmt.Errorf("set up: %w", err)}
}

// askedGauges records how many messages the plan asks of each flow, so that a saved history can be
// judged for its load without the plan.
func (r *run) askedGauges() {
	for _, f := range r.plan.Flows {
		e := history.New(history.Gauge, r.recorder.Now())
		e.Step, e.Flow, e.Value = "asked", f.Flow, f.Messages
		r.recorder.Record(&e)
	}
}

// authenticate is how brokers judge the clients that log in; a broker that asks for no token lets
// everyone in.
func authenticate(a *auth.Authority) func(*topology.Node) func(user, password string) error {
	return func(n *topology.Node) func(user, password string) error {
		if n.Authenticates == "" {
			return nil
		}
		return a.CheckUser
	}
}

// replicas is how many proxies of their own a node's connections have; a fleet's members share one.
func (r *run) replicas(node string) int {
	n := r.plan.AsBuilt.Node(node)
	if n == nil || n.Kind == topology.Fleet {
		return 1
	}
	return n.Members()
}

func (r *run) engineProgress(p stack.Progress) {
	switch {
	case p.Err != nil:
		first, _, _ := strings.Cut(p.Err.Error(), "\n") // the run's own error tells all of it
		r.say("%s: %s failed: %s", p.Node, p.Engine, strings.TrimSuffix(first, ":"))
	case p.State == "ready":
		r.say("%s: %s ready after %s", p.Node, p.Engine, p.Took.Round(time.Millisecond))
	case p.State == "starting" && !r.contained(p.Node):
	case p.State == "starting":
		r.say("%s: %s starting", p.Node, p.Engine)
	default: // an image is on its way
		r.tell(Progress{Text: fmt.Sprintf("%s: %s %s", p.Node, p.Engine, p.State), Long: true})
	}
}

// contained says that a node's engine runs in a container, which takes its time to start.
func (r *run) contained(node string) bool {
	n := r.plan.AsBuilt.Node(node)
	return features.Choose(n, r.plan.Engines) == features.Container
}

// controlled records a change that somebody made through Toxiproxy's own API while the run went on.
func (r *run) controlled(c wire.Change) {
	e := history.New(history.Action, r.recorder.Now())
	e.Step, e.Wire = "toxiproxy-api", c.Proxy
	e.Reason = strings.TrimSpace(c.Action + " " + c.Toxic)
	r.recorder.Record(&e)
	r.say("toxiproxy API: %s %s by %s: %s", e.Reason, c.Proxy, c.By, c.Detail)
}

// close ends everything in order: simulators, then engines and wires, then the history.
func (r *run) close(err error) error {
	var errs []error
	if r.auditors != nil {
		errs = append(errs, r.auditors.Close())
	}
	if r.cast != nil {
		errs = append(errs, r.cast.Close())
		r.opt.Code.AwaitReturn()
	}
	if r.stack != nil {
		errs = append(errs, r.stack.Close())
	}
	if r.scratch != "" {
		errs = append(errs, os.RemoveAll(r.scratch))
	}
	r.out.Took = time.Duration(r.recorder.Now())
	recorded := r.recorder.Close(r.out.Ended && err == nil)
	var environment *EnvironmentError
	switch closing := errors.Join(errs...); {
	case errors.As(err, &environment):
		return err
	case recorded != nil:
		return &EnvironmentError{fmt.Errorf("record history: %w", errors.Join(recorded, err))}
	case err != nil:
		return err
	case closing != nil:
		return fmt.Errorf("close the run: %w", closing)
	}
	return nil
}

func (r *run) outcome() *Outcome { return &r.out }

// say tells the user what just happened.
func (r *run) say(format string, args ...any) {
	r.tell(Progress{Text: fmt.Sprintf(format, args...)})
}

// tick tells the user how far the run is.
func (r *run) tick() { r.tell(Progress{}) }

// tell completes what there is to tell with how far the run is.
func (r *run) tell(p Progress) {
	if r.opt.Progress == nil {
		return
	}
	r.telling.Lock()
	defer r.telling.Unlock()
	p.At, p.Phase = time.Duration(r.recorder.Now()), r.phaseNow()
	p.Sent, p.Asked, p.Faults = r.sent.Load(), r.asked, int(r.inForce.Load())
	if r.stack != nil {
		p.API = r.stack.Fabric().API()
	}
	r.opt.Progress(p)
}

// The run is the stage on which faults act.

// Fabric is the run's wires.
func (r *run) Fabric() wire.Fabric { return r.stack.Fabric() }

// Topology is the system as built.
func (r *run) Topology() *topology.Topology { return r.plan.AsBuilt }

// Simulator is the simulated node with a name, nil for a broker or store.
func (r *run) Simulator(node string) simulators.Node { return r.cast.Node(node) }

// Engine is the engine behind a broker or store, nil for a simulated node.
func (r *run) Engine(node string) engine.Engine { return r.stack.Engine(node) }

// Broker is the run's own client of a broker, connected.
func (r *run) Broker(ctx context.Context, node string) (conn.Broker, error) {
	b, err := r.auditors.broker(r.plan.AsBuilt.Node(node))
	if err != nil {
		return nil, err
	}
	return b, b.Connect(ctx)
}

// Turn does something with a node's engine when nobody else does.
func (r *run) Turn(ctx context.Context, node string, do func() error) error {
	turn := r.turns[node]
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-turn }()
	return do()
}

// Count counts matching events from now on.
func (r *run) Count(match func(*history.Event) bool) *record.Counter { return r.recorder.Count(match) }

// Now is the time since the run began.
func (r *run) Now() int64 { return r.recorder.Now() }
