package scenarios

import (
	"cmp"
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

// What carries the bytes of wires whose ends are both in this process.
const (
	AutoWires   = "auto"   // memory
	MemoryWires = "memory" // memory, and nothing else: every node must run in this process
	TCPWires    = "tcp"    // sockets
)

// WiresChoices are what a scenario's wires may be asked to be.
func WiresChoices() []string { return []string{AutoWires, MemoryWires, TCPWires} }

// time settles by which clock the scenario is run, and refuses virtual time where it cannot be.
func (p *parser) time() {
	s := p.s
	if saved := p.opt.Saved; saved != nil {
		s.Time, s.TimeWhy = cmp.Or(saved.Time, RealTime), saved.TimeWhy
		return
	}
	s.Time = RealTime
	if p.opt.Time == RealTime {
		return
	}
	n, why := p.find(p.onlyReal)
	switch {
	case n == nil && p.opt.Wires == TCPWires && p.opt.Time == VirtualTime:
		p.root.Errorf("not-virtual", "virtual time has no sockets; accepted: --wires auto, or --time real")
	case n == nil && p.opt.Wires == TCPWires:
		s.TimeWhy = "its wires are to be sockets"
	case n == nil:
		s.Time = VirtualTime
	case p.opt.Time == VirtualTime:
		p.diags.Add(n.At, "not-virtual", "virtual time is not possible: %s; accepted: --time real", why)
	default:
		s.TimeWhy = why
	}
}

// inMemory refuses wires in memory where a node is reached over sockets.
func (p *parser) inMemory() {
	if p.opt.Wires != MemoryWires || p.opt.Saved != nil {
		return
	}
	if n, why := p.find(p.outside); n != nil {
		p.diags.Add(n.At, "not-in-memory", "not all wires can be in memory: %s; accepted: --wires auto, "+
			"where those of other nodes are", why)
	}
}

// find is the first node that something is to be said of.
func (p *parser) find(about func(*topology.Node) string) (*topology.Node, string) {
	for _, n := range p.s.AsBuilt.Nodes {
		if why := about(n); why != "" {
			return n, why
		}
	}
	return nil, ""
}

// onlyReal is why a node cannot live in virtual time, "" where it can.
func (p *parser) onlyReal(n *topology.Node) string {
	if why := p.outside(n); why != "" {
		return why
	}
	if p.among(p.opt.RealCode, n) {
		return fmt.Sprintf("the function in the place of %s is not said to dial by what it is given "+
			"(scenariotest.DialsByEnv)", p.s.AsBuilt.Short(n.Name))
	}
	if targetOf(n) != OnEngine {
		return ""
	}
	f, _ := features.Of(features.Choose(n, p.s.Engines), n)
	if f.RealOnly == "" {
		return ""
	}
	return fmt.Sprintf("the engine of %s, %s, %s", p.s.AsBuilt.Short(n.Name), f.Name, f.RealOnly)
}

// outside is why a node is reached over sockets, "" where it runs in this process.
func (p *parser) outside(n *topology.Node) string {
	name := p.s.AsBuilt.Short(n.Name)
	switch {
	case p.among(p.opt.Code, n) || p.among(p.opt.RealCode, n):
		return ""
	case n.Elsewhere():
		return fmt.Sprintf("%s runs elsewhere", name)
	case n.Own != nil:
		return fmt.Sprintf("%s is a program of your own", name)
	case targetOf(n) != OnEngine:
		return ""
	}
	set := features.Choose(n, p.s.Engines)
	if set == features.Embedded {
		return ""
	}
	f, _ := features.Of(set, n)
	return fmt.Sprintf("the engine of %s, %s, is not in this process", name, f.Name)
}

// among says that one of the names, full or as short as they may be, is the node's.
func (p *parser) among(names []string, n *topology.Node) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		full, err := p.s.AsBuilt.Resolve(name)
		return err == nil && full == n.Name
	})
}
