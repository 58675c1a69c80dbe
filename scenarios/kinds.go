package scenarios

import (
	"slices"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/features"
)

// Target says what a kind of fault is done to.
type Target string

// The targets.
const (
	OnWire   Target = "wire"   // one path between two nodes
	OnSim    Target = "node"   // a cloud or service, simulated or a program of the user's own
	OnFleet  Target = "fleet"  // a fleet
	OnEngine Target = "engine" // a broker or store
	OnFlow   Target = "flow"   // a flow's load
)

// Kind is one kind of fault: what it is, what it may be told and how it is confirmed.
type Kind struct {
	Name    string
	Targets []Target
	Needs   []string         // fields that must be given
	May     []string         // fields that may be given
	Instant bool             // happens at once; "for" is then only how long its bite is watched
	Asks    features.Ability // what an engine must be able to do for it; "" asks nothing
	Speaks  []string         // protocols of brokers that it can be done to; empty is all
	Doc     string           // what happens, to what, in which unit
	Bite    string           // what counts as bitten
	Heal    string           // how it ends
}

// Takes says whether the kind reads a field.
func (k Kind) Takes(field string) bool {
	return slices.Contains(k.Needs, field) || slices.Contains(k.May, field)
}

// onNode says whether the kind can be done to a node of any sort.
func (k Kind) onNode() bool { return k.On(OnSim) || k.On(OnFleet) || k.On(OnEngine) }

// places are the keys that say where a fault of the kind happens, one of which it needs.
func (k Kind) places() (keys []string) {
	if k.On(OnWire) {
		keys = append(keys, "wire")
	}
	if k.onNode() {
		keys = append(keys, "node")
	}
	return keys
}

// ends says whether the kind takes a node's process away.
func (k Kind) ends() bool {
	return slices.Contains([]string{"stop", "kill", "restart", "replace", "leader_loss"}, k.Name)
}

// On says whether the kind can be done to a target.
func (k Kind) On(t Target) bool { return slices.Contains(k.Targets, t) }

// KindOf is the kind with a name.
func KindOf(name string) (Kind, bool) {
	i := slices.IndexFunc(Kinds(), func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return Kinds()[i], true
}

// KindNames are the names of all kinds, in the table's order.
func KindNames() []string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, k.Name)
	}
	return names
}

// targetOf is what a node counts as.
func targetOf(n *topology.Node) Target {
	switch {
	case n.Kind == topology.Fleet:
		return OnFleet
	case (n.Kind == topology.Broker || n.Kind == topology.Store) && n.Own == nil:
		return OnEngine
	}
	return OnSim
}

const (
	wireBite = "flow messages seen in the bytes it touched, or operations on the wire that failed"
	nodeBite = "operations and logins on the node's wires that failed, connections to it that " +
		"dropped, messages that arrived for it meanwhile"
	ownBite  = "flow messages the node answered wrongly, held or crashed upon"
	heldBite = nodeBite + "; of a broker or store also every flow message's operation on its wires " +
		"that went on meanwhile"
	undone  = "taken away; the node behaves as built again"
	carried = "taken away; the wire carries bytes as before"
)

// Kinds is the table of all kinds of faults; parser, schema, explain and README read it.
func Kinds() []Kind {
	return slices.Concat(wireKinds(), nodeKinds(), machineKinds(), behaviorKinds(),
		brokerKinds())
}

func wireKinds() []Kind {
	on := []Target{OnWire}
	both := []string{"direction", "replica"}
	return []Kind{
		{Name: "latency", Targets: on, Needs: []string{"latency"}, May: both,
			Doc: "bytes arrive latency later (a duration)", Bite: wireBite, Heal: carried},
		{Name: "bandwidth", Targets: on, Needs: []string{"rate"}, May: both,
			Doc: "at most rate bytes pass (64KB/s, 1MB/s)", Bite: wireBite, Heal: carried},
		{Name: "timeout", Targets: on, May: both,
			Doc:  "a black hole: bytes wait, connections stay open, nothing is answered",
			Bite: wireBite, Heal: "taken away; held bytes arrive on the connections that still " +
				"live"},
		{Name: "reset", Targets: on, May: []string{"replica"},
			Doc:  "connections are reset, new ones too",
			Bite: wireBite, Heal: carried},
		{Name: "slow_close", Targets: on, Needs: []string{"latency"}, May: both,
			Doc: "closing a connection takes latency longer", Bite: wireBite, Heal: carried},
		{Name: "slicer", Targets: on, Needs: []string{"bytes"},
			May: append([]string{"latency"}, both...),
			Doc: "bytes arrive in pieces of bytes, latency apart", Bite: wireBite, Heal: carried},
		{Name: "limit_data", Targets: on, Needs: []string{"bytes"}, May: both,
			Doc: "a connection closes after bytes have passed", Bite: wireBite, Heal: carried},
		{Name: "cut", Targets: []Target{OnWire, OnEngine}, May: []string{"replica"},
			Asks: features.CutOff,
			Doc: "a wire: connections are closed and new ones refused; a broker or store (node:): " +
				"every packet to and from it is dropped inside its own network, connections hang",
			Bite: "a wire: " + wireBite + "; a node: " + heldBite,
			Heal: "taken away; bytes pass as before"},
	}
}

func nodeKinds() []Kind {
	both := []Target{OnSim, OnEngine}
	replica := []string{"replica"}
	return []Kind{
		{Name: "stop", Targets: both, May: replica, Asks: features.KeepsData,
			Doc:  "shut down in order: work in hand is finished, then connections close",
			Bite: nodeBite, Heal: "started again, ready when probed"},
		{Name: "kill", Targets: both, May: replica, Asks: features.KeepsData,
			Doc:  "ends at once as by kill -9: connections drop, work in hand is lost",
			Bite: nodeBite, Heal: "started again, ready when probed"},
		{Name: "pause", Targets: both, May: replica, Asks: features.Pause,
			Doc:  "frozen: connections stay open, nothing is handled or answered",
			Bite: heldBite, Heal: "goes on where it stood"},
		{Name: "restart", Targets: both, May: replica, Instant: true, Asks: features.KeepsData,
			Doc:  "shut down in order and started again at once",
			Bite: nodeBite, Heal: "over when every replica is ready again"},
		{Name: "replace", Targets: []Target{OnSim}, Instant: true,
			Doc:  "rolling: each replica in turn is stopped and a new one started",
			Bite: nodeBite, Heal: "over when the last replica is ready"},
	}
}

// machineKinds take from a node what it has of the machine.
func machineKinds() []Kind {
	on, replica := []Target{OnEngine, OnSim}, []string{"replica"}
	return []Kind{
		{Name: "cpu", Targets: on, Needs: []string{"cores"}, May: replica, Asks: features.LimitCPU,
			Doc:  "at most cores of processor time (0.2 is a fifth of one core)",
			Bite: heldBite + "; whether the limit was felt shows in how long they took",
			Heal: "as much processor time as before"},
		{Name: "memory", Targets: on, Needs: []string{"size"}, May: replica, Asks: features.LimitMemory,
			Doc: "at most size of memory (64MB); a process that needs more is ended by the " +
				"operating system",
			Bite: heldBite + "; whether the limit was felt shows in how they ended",
			Heal: "as much memory as before, and started again if it was ended"},
		{Name: "disk_full", Targets: []Target{OnEngine}, May: []string{"size"}, Asks: features.FillDisk,
			Doc: "no room is left where it keeps its data, a disk of its own of size (" +
				bytesText(DefaultDisk) + "), for the whole run",
			Bite: nodeBite, Heal: "the room is free again, and it is started again if it ended"},
	}
}

func behaviorKinds() []Kind {
	on := []Target{OnSim}
	return []Kind{
		{Name: "errors", Targets: on, May: []string{"status", "share", "flow"},
			Doc: "a share of requests and deliveries fails with status (500)", Bite: ownBite,
			Heal: undone},
		{Name: "slow", Targets: on, Needs: []string{"latency"}, May: []string{"share", "flow"},
			Doc: "handling takes latency longer for a share of messages", Bite: ownBite,
			Heal: undone},
		{Name: "poison", Targets: on, Needs: []string{"flow", "share"},
			Doc:  "a share of a flow's messages fails every time they are handled",
			Bite: ownBite, Heal: "the fix is deployed: the same messages are handled from then on"},
		{Name: "crash_on_message", Targets: on, Needs: []string{"flow", "share"},
			May: []string{"every"},
			Doc: "a share of a flow's messages crashes the replica that handles them, once each, " +
				"or with every: at each delivery",
			Bite: ownBite, Heal: undone},
		{Name: "quota", Targets: on, Needs: []string{"rate"},
			Doc: "requests beyond rate (5/s) are answered 429", Bite: ownBite, Heal: undone},
		{Name: "outage", Targets: on,
			Doc: "every request is answered 503", Bite: ownBite, Heal: undone},
		{Name: "duplicates", Targets: on, May: []string{"share", "flow"},
			Doc: "a share of what the node publishes is published twice", Bite: ownBite,
			Heal: undone},
		{Name: "burst", Targets: []Target{OnFlow}, Needs: []string{"flow", "factor"},
			Doc: "the flow's load is factor times its rate", Bite: "messages offered meanwhile",
			Heal: "the load has its own rate again"},
		{Name: "reconnect_herd", Targets: []Target{OnFleet}, May: []string{"share", "login"},
			Instant: true,
			Doc: "a share of the members lose their connections at once and come back as " +
				"their session says",
			Bite: "connections dropped", Heal: "happens at once; coming back is the members' " +
				"own business"},
	}
}

func brokerKinds() []Kind {
	on := []Target{OnEngine}
	return []Kind{
		{Name: "leader_move", Targets: on, Instant: true, Asks: features.MoveLeader,
			Doc:  "leadership of every partition moves to another cluster member",
			Bite: "messages published or received while clients find the new leaders",
			Heal: "happens at once"},
		{Name: "leader_loss", Targets: on, Asks: features.LoseLeader,
			Doc:  "the cluster member that leads most partitions ends at once as by kill -9",
			Bite: heldBite, Heal: "the member is started again, ready when probed"},
		{Name: "disconnect_all", Targets: on, Instant: true, Asks: features.DisconnectAll,
			Doc:  "the broker drops every client connection",
			Bite: "connections dropped", Heal: "happens at once"},
		{Name: "not_enough_replicas", Targets: on, Asks: features.RefuseWrites,
			Doc:  "every write is refused, because too few replicas would have it",
			Bite: "publishes to it that failed", Heal: "writes are taken as before"},
		{Name: "memory_alarm", Targets: on, Asks: features.RaiseAlarm,
			Doc:  "the broker says that its memory is used up: publishers are held, consumers go on",
			Bite: heldBite, Heal: "the alarm is lowered, and what was held goes on"},
		{Name: "throttle", Targets: on, Needs: []string{"rate"}, Asks: features.Throttle,
			Doc: "requests beyond rate (50/s) are answered with the broker's own throttling error; " +
				"nothing of them is done",
			Bite: heldBite, Heal: "requests are answered at any rate"},
		{Name: "rebalance", Targets: on, Instant: true,
			Speaks: []string{"amqp", "kafka", "kinesis", "nats"},
			Doc: "a further member joins each consumer group of the broker and leaves again: parts " +
				"change hands twice",
			Bite: "messages published or received while parts change hands", Heal: "happens at once"},
		{Name: "shard_split", Targets: on, Instant: true, Speaks: []string{"kinesis"},
			Doc: "every open shard of every stream is split in two: its keys go on in two others, " +
				"which are read when it has been read to its end",
			Bite: "messages published or received meanwhile", Heal: "happens at once; shards stay " +
				"split"},
	}
}
