package scenarios

import (
	"time"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
)

// Scenario is a topology with load, timeline, assertions and seed. All names in it are resolved to
// full names. It is built by Load and not changed afterwards.
type Scenario struct {
	Name         string
	Description  string // what must hold, for people
	File         string
	TopologyFile string
	Promise      *topology.Topology // what checkers read
	AsBuilt      *topology.Topology // what simulators obey; the promise itself when nothing differs
	Seed         uint64
	Engines      string // what runs behind brokers and stores: "auto", "embedded" or "containers"
	Time         string // by which clock it is run: "virtual" or "real"
	TimeWhy      string // why it is real where virtual was wished for
	Load         []FlowLoad
	Steady       time.Duration // load before the timeline begins
	Timeline     []Act
	Recover      time.Duration // load after the timeline's last end
	Drain        time.Duration // at most, without load
	Deadline     time.Duration // for the whole run, setup and audit included
	Assert       Assertions
}

// Defaults of a scenario's phases where its file is silent.
const (
	DefaultSteady  = 5 * time.Second
	DefaultRecover = 10 * time.Second
	DefaultDrain   = 15 * time.Second
	DefaultSeed    = 1
	// DefaultDisk is how large the disk of a node is, in bytes, that disk_full will fill.
	DefaultDisk    = 256_000_000
	deadlineMargin = 60 * time.Second // setup, audit and a slow machine
	// containersMargin is for images that have to be pulled and products that take their time.
	containersMargin = 15 * time.Minute
	recoveryWindow   = time.Second // the recovery checker's bucket
)

// Act is one entry of the timeline: a fault, a change of scale or a redrive. Exactly one of Fault,
// Scale and Redrive is set.
type Act struct {
	Name    string        // given, or made from its kind and number; unique
	At      time.Duration // from the end of steady
	Fault   *Fault
	When    *State // what the fault waits for, from At on and until its end; nil is nothing
	Scale   []Scale
	Redrive string // full reference of a dead-letter channel
}

// State is what a fault may wait for, so that it finds work to break.
type State struct {
	InHand  string // a cloud or service that is simulated
	Replica int    // −1 is all of them together
	AtLeast int    // messages that it handles at once
}

// End is when the act is over, counted like At.
func (a Act) End() time.Duration {
	if a.Fault != nil {
		return a.At + a.Fault.For
	}
	return a.At
}

// Scale asks for a number of replicas of a node.
type Scale struct {
	Node     string
	Replicas int
}

// Fault is what is broken, where, and for how long. Which fields a kind reads is in Kinds.
type Fault struct {
	Kind      string
	For       time.Duration // until the heal; 0 for kinds that happen at once
	Wires     []topology.Wire
	Nodes     []string
	Replica   int // of the node, or of the wire's dialler; −1 for all
	Direction wire.Direction
	Latency   time.Duration
	Rate      float64 // bandwidth: bytes per second; quota: requests per second
	Bytes     int64
	Share     float64 // of messages, or of a fleet's members; 1 when not given
	Status    int
	Flow      string
	Factor    float64
	Cores     float64 // cpu: processor time in cores
	Size      int64   // bytes; memory: the most it may hold; disk_full: how large its disk is made
	Every     bool    // crash_on_message: at each delivery, not only at the first
	Login     bool    // reconnect_herd: members lose their tokens too
}

// FlowLoad is the open-loop load of one flow: arrivals come when the plan says, whether or not
// earlier ones were answered.
type FlowLoad struct {
	Flow    string
	Rate    float64 // messages per second at first
	To      float64 // ramp: messages per second at its end
	Over    time.Duration
	Bursts  []Burst
	Poisson bool // arrivals are a Poisson process of the same rate, drawn by the seed
}

// Burst is a time of a higher rate. From counts from the end of steady.
type Burst struct {
	Rate  float64 // messages per second while it lasts, in place of the load's own; 0 uses Factor
	Times float64 // or this many times the load's own rate
	From  time.Duration
	For   time.Duration
	Every time.Duration // again each time this has passed; 0 is once
}
