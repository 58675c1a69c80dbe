// Package features says, as data, what each engine is, what can be asked of it, and what a verdict
// on it is worth.
//
// It serves the load step of load → plan → run → check → report: validate refuses what an engine
// cannot do before anything is started; the engines say the same of themselves while they run. It
// is pure and imports nothing but the model.
package features

import (
	"maps"
	"slices"

	"github.com/faultline-sim/faultline/topology"
)

// Set is a sort of engines: all of one sort run in the same way.
type Set string

// The sorts of engines. A node's own engine: wins over the choice for a run.
const (
	Embedded  Set = "embedded"  // in this process
	Process   Set = "process"   // a child process: a program found on PATH
	Container Set = "container" // a container image
)

// Ability is one thing that can be asked of an engine beside being started, stopped and killed.
type Ability string

// The abilities.
const (
	KeepsData     Ability = "keep its data over a restart"
	Pause         Ability = "be paused"
	LimitCPU      Ability = "have its processor time limited"
	LimitMemory   Ability = "have its memory limited"
	FillDisk      Ability = "have its disk filled"
	CutOff        Ability = "be cut off inside its own network"
	MoveLeader    Ability = "move its leaders"
	LoseLeader    Ability = "lose a leader"
	DisconnectAll Ability = "drop all its connections"
	RefuseWrites  Ability = "refuse writes for want of replicas"
	RaiseAlarm    Ability = "raise its memory alarm"
	Throttle      Ability = "throttle its clients"
)

// Features are what one engine is and can do.
type Features struct {
	Name      string // "kfake", "Apache Kafka"
	Image     string // containers: what runs where nothing else is asked for
	Imitation bool   // it is not the product that its protocol is known by
	Worth     string // what a verdict on it is worth, one sentence
	RealOnly  string // why it cannot live in virtual time, "" where an engine in this process can
	// Authenticates says that it can refuse a client's user name and password by itself.
	Authenticates bool
	Can           []Ability
	Why           map[Ability]string // why it cannot, where its kind does not say so already
}

// Able says whether something can be asked of the engine.
func (f Features) Able(a Ability) bool { return slices.Contains(f.Can, a) }

// Choose is the sort of engine that a run with --engines engines ("auto", "embedded" or
// "containers") puts behind a node. Auto is an embedded one where there is one, else a child process.
func Choose(n *topology.Node, engines string) Set {
	switch {
	case n.Engine != "":
		return Set(n.Engine)
	case engines == "containers":
		return Container
	}
	all := table()
	_, embedded := all[key{Embedded, n.Protocol}]
	_, process := all[key{Process, n.Protocol}]
	if process && !embedded && engines != "embedded" {
		return Process
	}
	return Embedded
}

// without is an engine that cannot do some of what it could, and why.
func without(f Features, why string, cannot ...Ability) Features {
	f.Can, f.Why = slices.Clone(f.Can), maps.Clone(f.Why)
	for _, a := range cannot {
		if !f.Able(a) {
			continue
		}
		if f.Why == nil {
			f.Why = map[Ability]string{}
		}
		f.Why[a] = why
		f.Can = slices.DeleteFunc(f.Can, func(b Ability) bool { return a == b })
	}
	return f
}

// Images are the container images that run where nothing else is asked for, sorted.
func Images() []string {
	var all []string
	for _, f := range table() {
		if f.Image != "" {
			all = append(all, f.Image)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Of is what an engine of a sort behind a broker or store can do; false when there is none.
func Of(s Set, n *topology.Node) (Features, bool) {
	f, ok := table()[key{s, n.Protocol}]
	if n.Brokers < 2 {
		f = without(f, "it has one member: give the node brokers: 3", MoveLeader, LoseLeader)
	} else if n.Brokers < 3 {
		f = without(f, "those left must be most of its members: give the node brokers: 3", LoseLeader)
	}
	return f, ok
}
