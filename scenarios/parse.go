package scenarios

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/d2"
	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/features"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// Options are what the command line or a test may say about a scenario.
type Options struct {
	Set  []string // "node.field=value", applied to promise and as built alike
	Seed *uint64  // in place of the file's own
	// Engines is what runs behind brokers and stores: "auto" (also ""), "embedded" or "containers".
	Engines string
	// Time is by which clock to run: "auto" (also ""), "virtual" or "real".
	Time string
	// Code are the nodes in whose place functions of the user's own run that reach their neighbours
	// by the dialers they are given; RealCode those whose functions dial by themselves.
	Code, RealCode []string
	// Machine is where the scenario is to run; what it cannot do is refused.
	Machine Machine
	// Wires is what carries bytes between ends in this process: "auto" (also ""), "memory" or "tcp".
	Wires string
	// Saved is what stands in the folder of a run that is judged again; the topology's file is not read
	// then.
	Saved *Saved
}

// Saved is a run that is judged again: its system as promised and as built, and by which clock it went.
type Saved struct {
	Promise, AsBuilt *topology.Topology
	Time, TimeWhy    string
}

// Load reads a scenario and the topology it names. All mistakes of both come in the list; the
// error is for files that cannot be read. The scenario is nil unless the list is empty.
func Load(file string, opt Options) (*Scenario, diag.List, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, diag.List{}, fmt.Errorf("read scenario %q: %w", file, err)
	}
	var diags diag.List
	p := &parser{opt: opt, diags: &diags, s: &Scenario{File: file, Seed: DefaultSeed,
		Engines: cmp.Or(opt.Engines, "auto")}}
	p.root = yamlpos.Parse(file, src, &diags)
	if !p.root.Present() {
		return nil, diags, nil
	}
	if err := p.topology(); err != nil {
		return nil, diags, err
	}
	p.read()
	if !diags.Empty() {
		return nil, diags, nil
	}
	return p.s, diags, nil
}

// parser reads one scenario file.
type parser struct {
	opt   Options
	root  yamlpos.Value
	diags *diag.List
	s     *Scenario
	acts  []rawAct
}

// topology loads the system and lays the scenario's overlays on it, so that all names are known
// before anything else is read.
func (p *parser) topology() error {
	if saved := p.opt.Saved; saved != nil {
		p.s.Promise, p.s.AsBuilt = saved.Promise, saved.AsBuilt
		return nil
	}
	v := p.root.Get("topology")
	if !v.Present() {
		p.root.Errorf("missing-key", "a scenario names its topology: add \"topology: FILE\"")
		return nil
	}
	name := v.String()
	if name == "" {
		return nil
	}
	p.s.TopologyFile = name
	if !filepath.IsAbs(name) {
		p.s.TopologyFile = filepath.Join(filepath.Dir(p.s.File), name)
	}
	t, diags, err := topology.Load(p.s.TopologyFile, topology.Options{Set: p.opt.Set,
		Draw: d2.Draw(d2.Options{}, nil)})
	if err != nil {
		v.Errorf("no-file", "%s", unreadable(p.s.TopologyFile, err))
		return nil
	}
	p.diags.Append(diags)
	if t == nil || !diags.Empty() {
		return nil
	}
	if change := p.root.Get("change"); change.Present() {
		t = t.Overlay(change, topology.OverlayOptions{})
	}
	p.s.Promise, p.s.AsBuilt = t, t
	if built := p.root.Get("as_built"); built.Present() && t != nil {
		p.s.AsBuilt = t.Overlay(built, topology.OverlayOptions{AsBuilt: true})
	}
	return nil
}

// unreadable says why a topology's file gives nothing.
func unreadable(file string, err error) string {
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("there is no file %q, the topology's path counts from the scenario's "+
			"folder",
			filepath.ToSlash(file))
	case errors.As(err, &path):
		return fmt.Sprintf("topology %q cannot be read: %v", filepath.ToSlash(file), path.Err)
	}
	return fmt.Sprintf("topology %q cannot be read: %v", filepath.ToSlash(file), err)
}

// oneLine is a name: a text of one line without control characters.
func oneLine(v yamlpos.Value) string {
	s := v.String()
	if strings.ContainsFunc(s, unicode.IsControl) {
		v.Errorf("wrong-type", "%q is not a name, a name is one line of text", s)
		return ""
	}
	return s
}

func (p *parser) read() {
	known := p.s.Promise != nil && p.s.AsBuilt != nil
	skip := func(yamlpos.Value) {}
	withNames := func(read func(yamlpos.Value)) func(yamlpos.Value) {
		if !known {
			return skip
		}
		return read
	}
	s := p.s
	s.Steady, s.Recover, s.Drain = DefaultSteady, DefaultRecover, DefaultDrain
	var assert, expect yamlpos.Value
	p.root.Fields(map[string]func(yamlpos.Value){
		"scenario":    func(v yamlpos.Value) { s.Name = oneLine(v) },
		"description": func(v yamlpos.Value) { s.Description = v.String() },
		"topology":    skip,
		"change":      skip,
		"as_built":    skip,
		"seed":        func(v yamlpos.Value) { s.Seed = uint64(v.Int(0, 1<<53)) },
		"load":        withNames(p.load),
		"steady":      func(v yamlpos.Value) { s.Steady = p.phase(v) },
		"timeline":    withNames(p.timeline),
		"recover":     func(v yamlpos.Value) { s.Recover = p.phase(v) },
		"drain":       func(v yamlpos.Value) { s.Drain = p.phase(v) },
		"deadline":    func(v yamlpos.Value) { s.Deadline = p.some(v) },
		"assert":      func(v yamlpos.Value) { assert = v },
		"expect":      func(v yamlpos.Value) { expect = v },
	})
	if p.opt.Seed != nil {
		s.Seed = *p.opt.Seed
	}
	if s.Name == "" {
		s.Name = strings.TrimSuffix(filepath.Base(s.File), filepath.Ext(s.File))
	}
	if !known {
		return
	}
	if !p.root.Get("load").Present() {
		p.root.Errorf("missing-key",
			"a scenario needs load: add \"load: {FLOW: 100/s}\", flows: %s",
			strings.Join(p.sourceNames(), ", "))
	}
	p.enginesExist()
	p.time()
	p.inMemory()
	p.assertions(assert, expect)
	p.consistent()
	if s.Deadline == 0 {
		s.Deadline = s.Steady + p.timelineEnd() + s.Recover + s.Drain + p.margin()
	}
}

// margin is what a run is allowed beside its phases.
func (p *parser) margin() time.Duration {
	for _, n := range p.s.AsBuilt.Nodes {
		own := n.Own != nil && (n.Own.Image != "" || n.Own.Build != "")
		if own || targetOf(n) == OnEngine && features.Choose(n, p.s.Engines) == features.Container {
			return deadlineMargin + containersMargin
		}
	}
	return deadlineMargin
}

func (p *parser) timelineEnd() (end time.Duration) {
	for _, a := range p.s.Timeline {
		end = max(end, a.End())
	}
	return end
}

func (p *parser) flowNames() []string {
	var names []string
	for _, f := range p.s.Promise.Flows {
		names = append(names, f.Name)
	}
	return names
}

// sourceNames are the flows that have a load of their own.
func (p *parser) sourceNames() []string {
	var names []string
	for _, f := range p.s.Promise.Flows {
		if f.DerivedFrom == "" {
			names = append(names, f.Name)
		}
	}
	return names
}

// flow is the name of a flow of the topology, or "" and a diagnostic.
func (p *parser) flow(v yamlpos.Value) string { return v.OneOf(p.flowNames()...) }
