package scenarios

import (
	"fmt"
	"slices"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/features"
)

// The clocks that a scenario is run by, and the choice between them.
const (
	// VirtualTime jumps from one event to the next: a run takes as long as its work, one seed gives
	// one history, and the machine's load changes nothing. Processors and disks are not measured.
	VirtualTime = "virtual"
	// RealTime is the machine's own clock.
	RealTime = "real"
	// AutoTime is virtual where every node can live in it.
	AutoTime = "auto"
)

// Times are what a scenario may be asked to run by.
func Times() []string { return []string{AutoTime, VirtualTime, RealTime} }

// WorthOfVirtual is what a verdict on a run in virtual time is worth, beside its engines' own words.
const WorthOfVirtual = "judges logic, policies, order, loss, isolation and recovery; work takes no " +
	"time but what is declared, so it vouches for no capacity, no latency that comes of processors " +
	"or disks, and no broker's durability"

// time settles by which clock the scenario is run, and refuses virtual time where it cannot be.
func (p *parser) time() {
	s := p.s
	s.Time = RealTime
	if p.opt.Time != RealTime {
		why, at := p.onlyReal()
		switch {
		case why == "":
			s.Time = VirtualTime
		case p.opt.Time == VirtualTime:
			p.diags.Add(at.At, "not-virtual", "virtual time is not possible: %s; accepted: --time real", why)
		default:
			s.TimeWhy = why
		}
	}
}

// onlyReal is why the scenario can be run in real time alone, and the node that it is so for; "" where
// it can be virtual.
func (p *parser) onlyReal() (why string, n *topology.Node) {
	for _, n := range p.s.AsBuilt.Nodes {
		if why := p.nodeOnlyReal(n); why != "" {
			return why, n
		}
	}
	return "", nil
}

func (p *parser) nodeOnlyReal(n *topology.Node) string {
	name := p.s.AsBuilt.Short(n.Name)
	switch {
	case slices.Contains(p.opt.Code, n.Name):
		return ""
	case slices.Contains(p.opt.RealCode, n.Name):
		return fmt.Sprintf("the process in the place of %s dials by itself", name)
	case n.Elsewhere():
		return fmt.Sprintf("%s runs elsewhere", name)
	case n.Own != nil:
		return fmt.Sprintf("%s is a program of your own", name)
	case targetOf(n) != OnEngine:
		return ""
	}
	set := features.Choose(n, p.s.Engines)
	f, _ := features.Of(set, n)
	switch {
	case set != features.Embedded:
		return fmt.Sprintf("the engine of %s, %s, is not in this process", name, f.Name)
	case f.RealOnly != "":
		return fmt.Sprintf("the engine of %s, %s, %s", name, f.Name, f.RealOnly)
	}
	return ""
}
