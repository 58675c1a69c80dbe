// Package stack brings a topology's brokers and stores up, and takes all of it down again.
//
// It begins and ends the run step of load → plan → run → check → report: the fabric, one engine a
// broker or store, and the folder they keep their data in. It promises that Close leaves nothing,
// that a stack that fails to come up has left nothing either, and that many stacks live side by
// side in a process. It imports no simulator, scenario or report.
package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/container"
	"github.com/faultline-sim/faultline/topology/engine/embedded"
	"github.com/faultline-sim/faultline/topology/engine/process"
	"github.com/faultline-sim/faultline/topology/features"
	"github.com/faultline-sim/faultline/topology/wire"
)

const (
	// ReadyWithin is how long an engine may take to be ready where Options does not say.
	ReadyWithin = 20 * time.Second
	// ProcessReadyWithin is the same for a child process.
	ProcessReadyWithin = 60 * time.Second
	// ContainerReadyWithin is the same for one in containers. Getting its image has a time of its own.
	ContainerReadyWithin = 90 * time.Second
	// stopWithin is how long an orderly stop may take before an engine is killed.
	stopWithin = 3 * time.Second
)

// Options is what a stack is made from. Topology is needed; all else has a default.
type Options struct {
	Topology *topology.Topology
	// Fabric's zero value works; Wires is filled from the topology when it is nil.
	Fabric wire.Options
	// Dir is the folder in which the stack makes its own; "" is the system's temporary folder.
	Dir         string
	ReadyWithin time.Duration // per engine; 0 is what its sort has
	// Run is the id that containers are labelled with; "" is the name of the folder Dir, or of the
	// stack's own.
	Run string
	// Authenticate gives the judge of a broker's clients; it, or its answer, may be nil.
	Authenticate func(node *topology.Node) func(user, password string) error
	// Engines is what runs behind brokers and stores: "auto" (also ""), "embedded" or "containers".
	Engines string
	// Images are those to run in the place of the default ones, by default image; a node's own
	// image wins.
	Images map[string]string
	// Disks are how large a disk of its own a node's engine keeps its data on, in bytes by node,
	// where a fault will fill it.
	Disks map[string]int64
	// NewEngine makes the engine of a node; nil takes the one that Engines means.
	NewEngine func(engine.Config) (engine.Engine, error)
	// Progress is told of each engine's steps; nil is allowed. It may be called by several
	// goroutines at once.
	Progress func(Progress)
	Log      *slog.Logger // nil is silent
}

// makers make an engine of each sort.
var makers = map[features.Set]func(engine.Config) (engine.Engine, error){
	features.Embedded:  embedded.New,
	features.Process:   process.New,
	features.Container: container.New,
}

// Progress is one engine's step on the way up.
type Progress struct {
	Node   string
	Engine string        // the engine's name
	State  string        // "starting", "ready", "failed"; before them "pulling IMAGE", "pulled IMAGE"
	Took   time.Duration // from its start; 0 before it is ready or has failed
	Err    error         // set when it failed
}

// Info is an engine of the stack and the node it is for.
type Info struct {
	Node     string
	Protocol string
	engine.Info
}

// Stack is a topology's engines, running. Its methods are safe for concurrent use; the engines'
// own are not.
type Stack struct {
	fabric  wire.Fabric
	dir     string
	nodes   []*topology.Node // brokers and stores, in the topology's order
	engines map[string]engine.Engine
	log     *slog.Logger

	close  sync.Once
	closed error
}

// Up makes the fabric and starts all engines at once. It returns when every one is ready, or, with
// everything closed again, the error of the first that is not: its node, engine, address and what
// it was asked.
func Up(ctx context.Context, opt Options) (*Stack, error) {
	s, err := prepare(opt)
	if err != nil {
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, n := range s.nodes {
		group.Go(func() error { return s.start(ctx, n, opt) })
	}
	if err := group.Wait(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// prepare makes everything that does not listen yet.
func prepare(opt Options) (*Stack, error) {
	s := &Stack{engines: map[string]engine.Engine{}, log: opt.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	dir, err := os.MkdirTemp(opt.Dir, "faultline-")
	if err == nil {
		dir, err = filepath.Abs(dir) // programs have working folders of their own
	}
	if err != nil {
		return nil, fmt.Errorf("make folder for engines: %w", err)
	}
	s.dir = dir
	if opt.Fabric.Wires == nil {
		opt.Fabric.Wires = opt.Topology.Wires()
	}
	if s.fabric, err = wire.New(opt.Fabric); err != nil {
		return nil, errors.Join(fmt.Errorf("make fabric: %w", err), s.Close())
	}
	for _, n := range opt.Topology.Nodes {
		if n.Kind != topology.Broker && n.Kind != topology.Store || n.Own != nil {
			continue
		}
		if err := s.add(n, opt); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// add makes a node's engine, with a folder that carries no part of the node's name.
func (s *Stack) add(n *topology.Node, opt Options) error {
	dir := filepath.Join(s.dir, strconv.Itoa(len(s.nodes)))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("make folder for %q: %w", n.Name, err)
	}
	sort := features.Choose(n, opt.Engines)
	cfg := engine.Config{
		Node: n, Host: host{s.fabric, n.Name}, Dir: dir, Run: s.run(opt), Disk: opt.Disks[n.Name],
		Image: imageOf(n, sort, opt.Images),
	}
	for _, c := range opt.Topology.Channels {
		if c.Node() == n.Name {
			cfg.Channels = append(cfg.Channels, c)
		}
	}
	if opt.Authenticate != nil {
		cfg.Authenticate = opt.Authenticate(n)
	}
	newEngine := opt.NewEngine
	if newEngine == nil {
		newEngine = makers[sort]
	}
	if newEngine == nil {
		return fmt.Errorf("make engine for %q: there are no engines of sort %q", n.Name, sort)
	}
	e, err := newEngine(cfg)
	if err != nil {
		return fmt.Errorf("make engine for %q: %w", n.Name, err)
	}
	s.nodes = append(s.nodes, n)
	s.engines[n.Name] = e
	return nil
}

// run is what the stack's containers are labelled with.
func (s *Stack) run(opt Options) string {
	switch {
	case opt.Run != "":
		return opt.Run
	case opt.Dir != "":
		return filepath.Base(opt.Dir)
	}
	return filepath.Base(s.dir)
}

// imageOf is the image that a node asks for, or the one in the place of its default; "" is the
// default itself.
func imageOf(n *topology.Node, sort features.Set, images map[string]string) string {
	if n.Image != "" {
		return n.Image
	}
	f, _ := features.Of(sort, n)
	return images[f.Image]
}

// within is how long a node's engine may take to be ready.
func within(n *topology.Node, opt Options) time.Duration {
	if opt.ReadyWithin != 0 {
		return opt.ReadyWithin
	}
	switch features.Choose(n, opt.Engines) {
	case features.Container:
		return ContainerReadyWithin
	case features.Process:
		return ProcessReadyWithin
	}
	return ReadyWithin
}

func (s *Stack) start(ctx context.Context, n *topology.Node, opt Options) error {
	tell := opt.Progress
	if tell == nil {
		tell = func(Progress) {}
	}
	e := s.engines[n.Name]
	name := e.Info().Name
	if f, ok := e.(engine.Fetcher); ok {
		say := func(text string) { tell(Progress{Node: n.Name, Engine: name, State: text}) }
		if err := f.Fetch(ctx, say); err != nil {
			return fmt.Errorf("get engine %q of %q: %w", name, n.Name, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, within(n, opt))
	defer cancel()
	tell(Progress{Node: n.Name, Engine: name, State: "starting"})
	begun := time.Now()
	if err := e.Start(ctx); err != nil {
		err = fmt.Errorf("start engine %q of %q: %w", name, n.Name, err)
		tell(Progress{n.Name, name, "failed", time.Since(begun), err})
		return err
	}
	tell(Progress{Node: n.Name, Engine: name, State: "ready", Took: time.Since(begun)})
	return nil
}

// Fabric is what connects the nodes.
func (s *Stack) Fabric() wire.Fabric { return s.fabric }

// Engine is what runs behind a broker or store, nil for another node.
func (s *Stack) Engine(node string) engine.Engine { return s.engines[node] }

// Infos describes the engines, in the topology's order.
func (s *Stack) Infos() []Info {
	infos := make([]Info, len(s.nodes))
	for i, n := range s.nodes {
		infos[i] = Info{n.Name, n.Protocol, s.engines[n.Name].Info()}
	}
	return infos
}

// Close stops the engines in order, closes them and the fabric, and removes the folder. It does
// all of it, whatever fails, and may be called again for the same answer.
func (s *Stack) Close() error {
	s.close.Do(func() { s.closed = s.takeDown() })
	return s.closed
}

func (s *Stack) takeDown() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	errs := make([]error, len(s.nodes))
	var group sync.WaitGroup
	for i, n := range s.nodes {
		group.Go(func() { errs[i] = s.end(ctx, n) })
	}
	group.Wait()
	if s.fabric != nil {
		errs = append(errs, s.fabric.Close())
	}
	if err := os.RemoveAll(s.dir); err != nil {
		errs = append(errs, fmt.Errorf("remove folder of engines: %w", err))
	}
	return errors.Join(errs...)
}

// end stops one engine, by force when it will not stop in time; that it had to be forced is not an
// error of the closing.
func (s *Stack) end(ctx context.Context, n *topology.Node) error {
	e := s.engines[n.Name]
	if err := e.Stop(ctx); err != nil {
		s.log.Warn("engine did not stop in order", "node", n.Name, "err", err)
	}
	if err := e.Close(); err != nil {
		return fmt.Errorf("close engine of %q: %w", n.Name, err)
	}
	return nil
}
