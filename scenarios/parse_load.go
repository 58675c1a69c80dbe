package scenarios

import (
	"strings"
	"time"

	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// maxRate bounds a flow's load: more than one process can offer.
const maxRate = 1_000_000

func (p *parser) load(v yamlpos.Value) {
	entries := v.Entries()
	if len(entries) == 0 && (v.Null() || v.IsMap()) {
		v.Errorf("empty", "load names no flow, flows: %s", strings.Join(p.sourceNames(), ", "))
	}
	for _, e := range entries {
		switch f := p.s.Promise.Flow(e.Key.Text()); {
		case f == nil:
			e.Key.Errorf("unknown-flow", "flow %q is not in the topology, %s",
				e.Key.Text(), diag.Expected(e.Key.Text(), p.sourceNames()))
		case f.DerivedFrom != "":
			e.Key.Errorf("derived-flow",
				"messages of %q are born of those of %q, leave it out here",
				f.Name, f.DerivedFrom)
		default:
			p.s.Load = append(p.s.Load, p.oneLoad(f.Name, e.Value))
		}
	}
}

func (p *parser) oneLoad(flow string, v yamlpos.Value) FlowLoad {
	l := FlowLoad{Flow: flow}
	if v.IsScalar() {
		l.Rate = p.rate(v)
		return l
	}
	v.Fields(map[string]func(yamlpos.Value){
		"rate":    func(v yamlpos.Value) { l.Rate = p.rate(v) },
		"ramp":    func(v yamlpos.Value) { l.Rate, l.To = p.ramp(v) },
		"over":    func(v yamlpos.Value) { l.Over = p.some(v) },
		"poisson": func(v yamlpos.Value) { l.Poisson = v.Bool() },
		"burst":   func(v yamlpos.Value) { l.Bursts = p.bursts(v) },
	})
	switch ramp, rate, over := v.Get("ramp"), v.Get("rate"), v.Get("over"); {
	case ramp.Present() && rate.Present():
		ramp.Errorf("conflict", "a load has either rate or ramp, not both")
	case !ramp.Present() && !rate.Present():
		v.Errorf("missing-key", "load of %q needs rate (200/s) or ramp (5/s..50/s)", flow)
	case ramp.Present() && !over.Present():
		v.Errorf("missing-key", "a ramp needs over: the time it takes, such as 10s")
	case over.Present() && !ramp.Present():
		over.Errorf("conflict", "over belongs to a ramp")
	}
	return l
}

func (p *parser) rate(v yamlpos.Value) float64 {
	r := v.Rate()
	if r > maxRate {
		v.Errorf("out-of-range", "%q is more than one process offers, at most %d/s", v.Text(),
			maxRate)
	}
	return r
}

// ramp reads "5/s..50/s".
func (p *parser) ramp(v yamlpos.Value) (from, to float64) {
	first, second, ok := strings.Cut(v.Text(), "..")
	if !ok {
		v.Errorf("wrong-unit", "%q is not a ramp, write it as 5/s..50/s", v.Text())
		return 0, 0
	}
	from, okFrom := yamlpos.ParseRate(first)
	to, okTo := yamlpos.ParseRate(second)
	switch {
	case !okFrom || !okTo:
		v.Errorf("wrong-unit", "%q is not a ramp, write it as 5/s..50/s", v.Text())
	case max(from, to) > maxRate:
		v.Errorf("out-of-range", "%q is more than one process offers, at most %d/s", v.Text(),
			maxRate)
	}
	return from, to
}

// leastEvery bounds how often a burst comes again.
const leastEvery = 100 * time.Millisecond

// bursts reads one burst or a list of them.
func (p *parser) bursts(v yamlpos.Value) []Burst {
	if v.IsMap() {
		return []Burst{p.burst(v)}
	}
	if n := len(v.Items()); n > maxActs {
		v.Errorf("too-large", "a load has at most %d bursts, this one has %d", maxActs, n)
		return nil
	}
	var all []Burst
	for _, item := range v.Items() {
		all = append(all, p.burst(item))
	}
	return all
}

func (p *parser) burst(v yamlpos.Value) Burst {
	var b Burst
	v.Fields(map[string]func(yamlpos.Value){
		"rate":  func(v yamlpos.Value) { b.Rate = p.rate(v) },
		"times": func(v yamlpos.Value) { b.Times = v.Float(0.001, 10_000) },
		"at":    func(v yamlpos.Value) { b.From = p.phase(v) },
		"for":   func(v yamlpos.Value) { b.For = p.some(v) },
		"every": func(v yamlpos.Value) { b.Every = p.some(v) },
	})
	switch rate, times := v.Get("rate"), v.Get("times"); {
	case rate.Present() && times.Present():
		times.Errorf("conflict", "a burst has either rate or times, not both")
	case !rate.Present() && !times.Present():
		v.Errorf("missing-key", "a burst needs rate (500/s) or times (10)")
	}
	every := v.Get("every")
	switch {
	case !v.Get("for").Present():
		v.Errorf("missing-key", "a burst needs for: how long it lasts, such as 3s")
	case b.Every > 0 && b.Every < b.For:
		every.Errorf("out-of-range", "a burst of %s cannot come again every %s", b.For, b.Every)
	case b.Every > 0 && b.Every < leastEvery:
		every.Errorf("out-of-range", "%s is too often, at least %s", b.Every, leastEvery)
	}
	return b
}
