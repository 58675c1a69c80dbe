package scenarios

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
)

// Plan is a scenario with every time and random choice fixed by its seed. Times in it count from
// the beginning of steady, which is when the load begins.
type Plan struct {
	*Scenario
	Phases []Phase
	Acts   []Act // in order of At, which counts from the beginning of steady here
	Flows  []FlowPlan
}

// The phases of a run, in order.
const (
	PhaseSetup    = "setup"
	PhaseSteady   = "steady"
	PhaseTimeline = "timeline"
	PhaseRecover  = "recover"
	PhaseDrain    = "drain"
	PhaseAudit    = "audit"
)

// Phase is a planned span of the run. Drain ends earlier when nothing moves any more.
type Phase struct {
	Name     string
	From, To time.Duration
}

// FlowPlan is the planned load of one flow.
type FlowPlan struct {
	Flow     string
	Messages int64
	shape    Shape
	seed     uint64
	poisson  bool
}

// Arrivals are the intended send times of the flow's messages, counted from the beginning of
// steady. Each call gives the same ones.
func (f FlowPlan) Arrivals() iter.Seq[time.Duration] {
	if !f.poisson {
		return f.shape.Arrivals(nil)
	}
	h := fnv.New64a()
	h.Write([]byte("arrivals\x00" + f.Flow))
	return f.shape.Arrivals(rand.New(rand.NewPCG(f.seed, h.Sum64())))
}

// NewPlan fixes a scenario by its seed. It is pure: the same scenario gives the same plan.
func NewPlan(s *Scenario) *Plan {
	p := &Plan{Scenario: s}
	over := time.Duration(0)
	for _, a := range s.Timeline {
		over = max(over, a.End())
		a.At += s.Steady
		p.Acts = append(p.Acts, a)
	}
	slices.SortStableFunc(p.Acts, func(a, b Act) int { return cmp.Compare(a.At, b.At) })
	timeline := s.Steady + over
	load := timeline + s.Recover
	p.Phases = []Phase{
		{PhaseSteady, 0, s.Steady},
		{PhaseTimeline, s.Steady, timeline},
		{PhaseRecover, timeline, load},
		{PhaseDrain, load, load + s.Drain},
	}
	for _, l := range s.Load {
		p.Flows = append(p.Flows, p.flow(l, load))
	}
	slices.SortFunc(p.Flows, func(a, b FlowPlan) int { return strings.Compare(a.Flow, b.Flow) })
	return p
}

// planned is a flow's load with the bursts of the timeline in it.
func (s *Scenario) planned(l FlowLoad) FlowLoad {
	for _, a := range s.Timeline {
		if a.Fault != nil && a.Fault.Kind == "burst" && a.Fault.Flow == l.Flow {
			l.Bursts = append(slices.Clone(l.Bursts),
				Burst{Times: a.Fault.Factor, From: a.At, For: a.Fault.For})
		}
	}
	return l
}

func (p *Plan) flow(l FlowLoad, end time.Duration) FlowPlan {
	shape := p.planned(l).Shape(p.Steady, end)
	f := FlowPlan{Flow: l.Flow, shape: shape, seed: p.Seed, poisson: l.Poisson}
	for range f.Arrivals() {
		f.Messages++
	}
	return f
}

// LoadEnds is when the last message may be offered.
func (p *Plan) LoadEnds() time.Duration { return p.Phase(PhaseRecover).To }

// Longest is the most the run's own clock may take from the beginning of steady to the audit.
func (p *Plan) Longest() time.Duration { return p.Phase(PhaseDrain).To }

// Phase is the plan's phase of that name, one of the constants of this package.
func (p *Plan) Phase(name string) Phase {
	i := slices.IndexFunc(p.Phases, func(ph Phase) bool { return ph.Name == name })
	return p.Phases[i]
}

// String is the plan for people, one thing a line, in order of time.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "scenario %s on topology %s, seed %d\n", p.Name, p.Promise.Name, p.Seed)
	b.WriteString("\nload, open loop, times from the beginning of steady\n")
	for _, f := range p.Flows {
		var last time.Duration
		for at := range f.Arrivals() {
			last = at
		}
		fmt.Fprintf(&b, "  %-24s %7d messages, the last at %.3fs\n", f.Flow, f.Messages,
			last.Seconds())
	}
	b.WriteString("\ntimeline\n")
	for _, l := range p.lines() {
		fmt.Fprintf(&b, "  %9.3fs  %-7s  %s\n", l.at.Seconds(), l.word, l.text)
	}
	return b.String()
}

// line is one thing of the plan.
type line struct {
	at         time.Duration
	word, text string
}

// lines are all things of the plan by their time; of those at one moment what ends stands first,
// then the phase that begins, then what happens in it.
func (p *Plan) lines() []line {
	var heals, phases, acts []line
	for _, ph := range p.Phases {
		phases = append(phases, line{ph.From, "phase", ph.Name})
	}
	for _, a := range p.Acts {
		word, text := a.describe()
		acts = append(acts, line{a.At, word, text})
		if a.Fault != nil && a.Fault.For > 0 {
			heals = append(heals, line{a.End(), "heal", a.Name})
		}
	}
	all := slices.Concat(heals, phases, acts, []line{{p.Longest(), "audit", "at the latest"}})
	slices.SortStableFunc(all, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	return all
}

// describe is what the act does, with where it happens.
func (a Act) describe() (word, text string) {
	switch {
	case a.Redrive != "":
		return "redrive", a.Redrive
	case a.Fault == nil:
		var each []string
		for _, s := range a.Scale {
			each = append(each, fmt.Sprintf("%s to %d", s.Node, s.Replicas))
		}
		return "scale", strings.Join(each, ", ")
	}
	return "inject", fmt.Sprintf("%s: %s", a.Name, a.Fault)
}

// String is the fault's kind, its numbers and its targets.
func (f *Fault) String() string {
	parts := []string{f.Kind}
	add := func(given bool, format string, args ...any) {
		if given {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(f.Latency > 0, "%s", f.Latency)
	add(f.Rate > 0 && f.Kind == "bandwidth", "%s/s", bytesText(int64(f.Rate)))
	add(f.Rate > 0 && f.Kind != "bandwidth", "%g/s", f.Rate)
	add(f.Bytes > 0, "%s", bytesText(f.Bytes))
	add(f.Cores > 0, "%g cores", f.Cores)
	add(f.Size > 0, "%s", bytesText(f.Size))
	add(f.Status > 0, "%d", f.Status)
	add(f.Factor > 0, "×%g", f.Factor)
	add(f.Share > 0 && f.Share < 1, "%g%%", f.Share*100)
	add(f.Every, "at every delivery")
	add(f.Login, "with new logins")
	add(f.Flow != "", "of %s", f.Flow)
	add(f.Direction != "" && f.Direction != wire.Both, "of %s only", f.Direction)
	if targets := f.Targets(); len(targets) > 0 {
		parts = append(parts, "on "+strings.Join(targets, ", "))
	}
	add(f.Replica >= 0 && len(f.Targets()) > 0, "replica %d", f.Replica)
	return strings.Join(parts, " ")
}

// Targets are the full names of the wires or nodes that the fault is done to.
func (f *Fault) Targets() []string {
	targets := slices.Clone(f.Nodes)
	for _, w := range f.Wires {
		targets = append(targets, w.String())
	}
	return targets
}

// Touches says whether the fault is done to a wire, or to a node at either end of it.
func (f *Fault) Touches(w topology.Wire) bool {
	return slices.Contains(f.Wires, w) || slices.Contains(f.Nodes,
		w.From) || slices.Contains(f.Nodes, w.To)
}
