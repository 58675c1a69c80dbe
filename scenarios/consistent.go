package scenarios

import (
	"cmp"
	"slices"
	"time"

	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// longestPhase bounds every phase and time in a scenario.
const longestPhase = 24 * time.Hour

// maxMessages bounds a scenario's load: a plan counts every message, a history keeps them.
const maxMessages = 20_000_000

// phase is a time of at most longestPhase.
func (p *parser) phase(v yamlpos.Value) time.Duration {
	d := v.Duration()
	if d > longestPhase {
		v.Errorf("out-of-range", "%s is longer than anything may take here, at most %s", d,
			longestPhase)
		return longestPhase
	}
	return d
}

// some is a time above none.
func (p *parser) some(v yamlpos.Value) time.Duration {
	return min(v.Positive(), p.phase(v))
}

// overlaps refuses two faults of one kind on one target at the same time: what each of them did
// could not be told apart.
func (p *parser) overlaps() {
	sorted := slices.Clone(p.acts)
	slices.SortStableFunc(sorted, func(a, b rawAct) int { return cmp.Compare(a.act.At, b.act.At) })
	for i, a := range sorted {
		for _, before := range sorted[:i] {
			target, both := shared(before.act, a.act)
			if !both || before.act.End() <= a.act.At {
				continue
			}
			a.value.Errorf("overlap", "%q begins at %s, while %q does the same to %s until %s; "+
				"begin it then or later, or merge the two", a.act.Name, a.act.At, before.act.Name,
				target, before.act.End())
			break
		}
	}
}

// shared is a target that two faults of one kind have in common.
func shared(a, b Act) (string, bool) {
	if a.Fault == nil || b.Fault == nil || a.Fault.Kind != b.Fault.Kind {
		return "", false
	}
	kind, _ := KindOf(a.Fault.Kind)
	if kind.On(OnFlow) {
		return a.Fault.Flow, a.Fault.Flow == b.Fault.Flow
	}
	if a.Fault.Replica >= 0 && b.Fault.Replica >= 0 && a.Fault.Replica != b.Fault.Replica {
		return "", false
	}
	others := b.Fault.Targets()
	for _, target := range a.Fault.Targets() {
		if slices.Contains(others, target) {
			return target, true
		}
	}
	return "", false
}

// consistent checks what only the whole scenario can show.
func (p *parser) consistent() {
	loadEnds := p.s.Steady + p.timelineEnd() + p.s.Recover
	if p.s.Deadline > 0 && p.s.Deadline < loadEnds+time.Second {
		p.root.Get("deadline").Errorf("out-of-range", "deadline %s is before the load ends at %s; "+
			"set it to %s or more, or leave it out", p.s.Deadline, loadEnds,
			loadEnds+p.s.Drain+p.margin())
	}
	p.burstsHaveLoad()
	if !p.diags.Empty() {
		return
	}
	messages := 0.0
	for _, l := range p.s.Load {
		messages += p.s.planned(l).Shape(p.s.Steady, loadEnds).area()
	}
	if messages > maxMessages {
		p.root.Get("load").Errorf("too-large",
			"the load makes %.0f messages, at most %d fit one run; "+
				"lower the rates or shorten the phases", messages, maxMessages)
	}
}

// burstsHaveLoad refuses a burst of a flow that the scenario sends nothing of.
func (p *parser) burstsHaveLoad() {
	var loaded []string
	for _, l := range p.s.Load {
		loaded = append(loaded, l.Flow)
	}
	for _, a := range p.acts {
		f := a.act.Fault
		if f == nil || f.Kind != "burst" || f.Flow == "" || slices.Contains(loaded, f.Flow) {
			continue
		}
		a.value.Get("flow").Errorf("no-load", "flow %q has no load in this scenario, %s",
			f.Flow, diag.Expected(f.Flow, loaded))
	}
}
