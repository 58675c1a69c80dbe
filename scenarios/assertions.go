package scenarios

import (
	"time"

	"github.com/faultline-sim/faultline/assertions/spec"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// Assertions are what a scenario asserts, with what its topology's promise implies, and the
// verdicts that it expects.
type Assertions struct {
	All    []spec.Assertion
	Expect []spec.Expectation
	// Expected says that the file has expectations; without them every verdict must be valid.
	Expected bool
}

func (p *parser) assertions(assert, expect yamlpos.Value) {
	s := p.s
	var faults, loaded []string
	for _, a := range s.Timeline {
		if a.Fault != nil {
			faults = append(faults, a.Name)
		}
	}
	for _, l := range s.Load {
		loaded = append(loaded, l.Flow)
	}
	names := spec.Of(s.Promise, faults, loaded)
	written := spec.Parse(assert, names)
	s.Assert.All = spec.Merge(spec.Implied(s.Promise, loaded, faults), written)
	s.Assert.Expect = spec.ParseExpect(expect, names)
	s.Assert.Expected = expect.Present()
	for _, a := range written {
		if need := a.Recover + recoveryWindow; a.Recover > 0 && need > s.Recover {
			p.diags.Add(a.Position, "recover-too-short",
				"%s needs %s of load after the last heal (within + hold + a window of %s), "+
					"recover is %s; "+
					"set recover to %s or more", a.Name, need, recoveryWindow, s.Recover,
				need.Round(time.Second))
		}
	}
}
