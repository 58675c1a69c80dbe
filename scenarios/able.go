package scenarios

import (
	"fmt"
	"slices"
	"strings"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/features"
)

// Machine is what is known of the machine that a scenario is to run on. The zero value is nothing:
// no fault is refused for it, as when a saved run is judged elsewhere.
type Machine struct {
	OS   string // as GOOS
	Root bool
}

// unable is why a kind of fault cannot be done to a node, "" when it can.
func (p *parser) unable(n *topology.Node, kind Kind) string {
	switch {
	case targetOf(n) != OnEngine:
		return unableProgram(n, kind)
	case len(kind.Speaks) > 0 && !slices.Contains(kind.Speaks, n.Protocol):
		return fmt.Sprintf("%s cannot be done to %q, which speaks %s; accepted: brokers of %s",
			kind.Name, n.Name, n.Protocol, strings.Join(kind.Speaks, ", "))
	case kind.Asks == "":
		return ""
	}
	set := features.Choose(n, p.s.Engines)
	can, _ := features.Of(set, n)
	if can.Able(kind.Asks) {
		return p.opt.Machine.unable(n, set, kind)
	}
	why := fmt.Sprintf("%s cannot be done to %q: its engine, %s (%s), cannot %s",
		kind.Name, n.Name, can.Name, set, kind.Asks)
	if reason := can.Why[kind.Asks]; reason != "" {
		why += "; " + reason
	}
	return why + instead(n, set, kind)
}

// unableProgram is why a kind of fault cannot be done to a fleet, service or cloud.
func unableProgram(n *topology.Node, kind Kind) string {
	limits := kind.Asks == features.LimitCPU || kind.Asks == features.LimitMemory
	why := ""
	switch {
	case n.Elsewhere():
		why = fmt.Sprintf("it runs elsewhere and is not ours to break; break its wires: "+
			"wire: \"* -> %s\"", n.Name)
	case n.Own != nil && misbehaves(kind):
		why = "it runs a program of your own, which does not misbehave by order; stop, kill or " +
			"pause it, or break its wires"
	case limits && n.Own == nil:
		why = "it is simulated in this process, only a container can be limited: image or build " +
			"on the node"
	case limits && n.Own.Image == "" && n.Own.Build == "":
		why = "its command runs on this machine, only a container can be limited: image or build " +
			"in place of command"
	default:
		return ""
	}
	return fmt.Sprintf("%s cannot be done to %q: %s", kind.Name, n.Name, why)
}

// misbehaves says that a kind is carried out by the simulated node itself.
func misbehaves(kind Kind) bool {
	return kind.On(OnSim) && slices.ContainsFunc(behaviorKinds(), func(k Kind) bool {
		return k.Name == kind.Name
	})
}

// instead is what to do about an engine that cannot do what a kind asks.
func instead(n *topology.Node, set features.Set, kind Kind) string {
	other := features.Container
	if set == other {
		other = features.Choose(&topology.Node{Protocol: n.Protocol}, "auto")
	}
	can, ok := features.Of(other, n)
	able := ok && can.Able(kind.Asks)
	switch {
	case kind.Asks == features.KeepsData && able:
		return fmt.Sprintf(": use cut or pause, or run it on %s: --engines %s, or engine: %s on "+
			"the node", can.Name, enginesWord[other], other)
	case able:
		return fmt.Sprintf("; %s can: --engines %s, or engine: %s on the node", can.Name,
			enginesWord[other], other)
	}
	return ""
}

// enginesWord is what --engines calls a sort of engines.
var enginesWord = map[features.Set]string{
	features.Embedded: "embedded", features.Process: "auto", features.Container: "containers",
}

// unable is why a kind of fault cannot be done to a node on this machine, "" when it can.
func (m Machine) unable(n *topology.Node, set features.Set, kind Kind) string {
	var how string
	switch {
	case set != features.Container || m.OS == "" || m.OS == "linux" && m.Root:
		return ""
	case kind.Asks == features.CutOff:
		how = "packets are dropped"
	case kind.Asks == features.DisconnectAll && n.Authenticates == "": // else we are its door
		how = "connections are closed"
	default:
		return ""
	}
	return fmt.Sprintf("%s cannot be done to %q on this machine: %s inside the container's own "+
		"network, which takes root on Linux; cut its wires instead: wire: \"* -> %s\"",
		kind.Name, n.Name, how, n.Name)
}

// enginesExist refuses a broker or store for which there is no engine of the sort it is to have.
func (p *parser) enginesExist() {
	for _, n := range p.s.AsBuilt.Nodes {
		if targetOf(n) != OnEngine || p.opt.Saved != nil {
			continue
		}
		set := features.Choose(n, p.s.Engines)
		if _, ok := features.Of(set, n); ok {
			continue
		}
		var accepted []string
		for _, other := range []features.Set{
			features.Embedded, features.Process, features.Container,
		} {
			if _, ok := features.Of(other, n); ok {
				accepted = append(accepted, string(other))
			}
		}
		p.diags.Add(n.At, "no-engine", "%q speaks %s, for which there is no engine of sort %s, "+
			"accepted: %s", n.Name, n.Protocol, set, strings.Join(accepted, ", "))
	}
}

// oneProcess refuses what one engine's process cannot have done to it together: an act on a process
// that another has taken away, and a full disk that a restart would empty.
func (p *parser) oneProcess() {
	for i, a := range p.acts {
		for _, b := range p.acts[:i] {
			node, both := p.sharedEngine(a.act, b.act)
			if !both {
				continue
			}
			if why := together(a.act, b.act); why != "" {
				a.value.Errorf("overlap", "%q and %q (line %d) cannot both be done to %s: %s",
					a.act.Name, b.act.Name, b.value.Position().Line, node, why)
				break
			}
		}
	}
}

// sharedEngine is an engine that two faults of different kinds are done to.
func (p *parser) sharedEngine(a, b Act) (string, bool) {
	if a.Fault == nil || b.Fault == nil || a.Fault.Kind == b.Fault.Kind {
		return "", false
	}
	for _, name := range a.Fault.Nodes {
		n := p.s.AsBuilt.Node(name)
		if slices.Contains(b.Fault.Nodes, name) && targetOf(n) == OnEngine {
			return name, true
		}
	}
	return "", false
}

// together is why two faults of different kinds cannot be done to one engine, "" when they can.
func together(a, b Act) string {
	kindA, _ := KindOf(a.Fault.Kind)
	kindB, _ := KindOf(b.Fault.Kind)
	switch {
	case !kindA.ends() && !kindB.ends():
		return ""
	case a.At < b.End() && b.At < a.End():
		first, last := b, a // b stands before a in the file
		if a.At < b.At {
			first, last = a, b
		}
		return fmt.Sprintf("%s lasts until %s, and one of the two takes the process away; begin %s "+
			"then or later", first.Fault.Kind, first.End(), last.Fault.Kind)
	}
	return ""
}

// Disks are how large the disks of nodes are made that disk_full will fill, in bytes by node.
func (s *Scenario) Disks() map[string]int64 {
	disks := map[string]int64{}
	for _, a := range s.Timeline {
		if a.Fault == nil || a.Fault.Kind != "disk_full" {
			continue
		}
		for _, n := range a.Fault.Nodes {
			disks[n] = max(disks[n], a.Fault.Size)
		}
	}
	return disks
}

var targetPlural = map[Target]string{
	OnSim: "clouds and services", OnFleet: "fleets", OnEngine: "brokers and stores",
	OnWire: "wires", OnFlow: "flows",
}

func targetWords(k Kind) string {
	var words []string
	for _, t := range k.Targets {
		words = append(words, targetPlural[t])
	}
	return strings.Join(words, ", ")
}
