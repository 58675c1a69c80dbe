// Package history is what a run leaves behind: events in time order, in Parquet segments that
// DuckDB and pandas read too.
//
// It is written in the run step of load → plan → run → check → report and read in the last two.
// It promises that a killed run is readable up to its last sealed segment, and that an event read
// equals the event written. It imports no clock, no network and nothing of the other rooms.
//
// A history is a folder: history.parquet, or segments/000001.parquet … of a run that did not end.
// Both have one row an event, in time order, and the columns at_ns, kind, outcome, node, replica,
// handler, step, flow, message, trace, parent_flow, parent, key, key_seq, wire, channel, partition,
// offset, delivery, attempt, reason, duration_ns and value, which mean what Event's fields mean.
// Kinds and outcomes are words ("dead_letter", "ok"), traces 32 hex digits. No column is nullable:
// what an event does not set is "" in a text, -1 in message, parent and key_seq, and else 0. So
//
//	SELECT wire, count(*), max(duration_ns) / 1e6 AS ms FROM 'RUN/history/*.parquet'
//	WHERE kind = 'call' AND outcome = 'fail' GROUP BY wire
//
// works in DuckDB as it stands. The file's metadata hold the format's version and a checksum of all
// the rest.
package history

// Format is the version of the events' meaning and of the segments' columns. A reader refuses a
// higher one.
const Format = 1

// Kind says what happened.
type Kind uint8

// The kinds of events. What each one means, and which fields it sets beside At, Kind and Node,
// stands behind it; "step fields" are Handler, Step, Wire, Attempt, Outcome, Reason and Duration,
// "message fields" are Flow, Message, Trace, Key and KeySeq.
const (
	_ Kind = iota
	// Produce: a source begins a message (Outcome None, At the intended send time, message fields),
	// and a second row when it was answered (Ok, Fail or Unknown; Duration since the intended time).
	Produce
	// Receive: a delivery reached a handler (message fields, Handler, Channel or Wire, Partition,
	// Offset, Delivery: how often this handler has been given this message, from 1).
	Receive
	// Attempt: one run of a whole handler over a delivery ended (step fields but Step; Attempt from
	// 1 within the delivery). It began at At − Duration.
	Attempt
	// Publish, Call, Store: one try of a step ended (message fields, step fields, Delivery; Publish
	// also Channel). It began at At − Duration. Call is HTTP, a request over a broker or a lookup;
	// Store is a write. A Store that is Ok is the arrival at the store at the Wire's far end.
	Publish
	Call
	Store
	// Ack: the delivery was given back to its broker as done (Ok) or to be given again (Fail).
	Ack
	// Filter: the message rightly ends here (Step is the condition).
	Filter
	// Derive: a new message is born of another: message fields are the new one's, Parent and
	// ParentFlow the old one's.
	Derive
	// DeadLetter: the message was sent to Channel, a dead-letter channel (Reason is why, Attempt how
	// many handler attempts were made, Outcome whether the publish was answered).
	DeadLetter
	// Expire: the message outlived its TTL and was dropped.
	Expire
	// Reject: the message was refused as permanent (Reason "schema", "auth", "4xx" …) to its caller.
	Reject
	// Reply: the answer to a produced request is back at its source (Duration since its intended
	// send time).
	Reply
	// Redrive: an operator moved a dead-lettered message back to Channel.
	Redrive
	// Found: the audit read the message back: at a sink (Node is the sink, Channel empty) or in a
	// channel (Channel set; Node the broker). Value counts the copies found.
	Found
	// Breaker changed state (Handler, Step, Wire; Reason "closed", "open" or "half_open").
	Breaker
	// Action: an operator's or the timeline's act (Reason says which, Step its name, Node or Wire
	// its target).
	Action
	// Fault: Step is the fault's name, Reason "inject", "bite" or "heal", Node or Wire its target;
	// a bite's Value is the number of flow messages touched so far.
	Fault
	// Phase: the phase named by Step begins.
	Phase
	// NodeState: a node's Replica changed: Reason "up", "ready", "down", "crash", "connect",
	// "disconnect", "login"; StateCode says, before any of its replicas is up, that the node runs
	// code of the user's own, of which nothing is seen from inside.
	NodeState
	// Gauge: Step names it ("depth", "lag", "bytes_up", "bytes_down", "sched_delay_ns", "unsettled",
	// "asked"; of a container "cpu_permille", thousandths of one core since its last reading, and
	// "memory_bytes"), Value is the reading, Node, Wire, Channel or Flow its subject.
	Gauge
	// Shed: the recorder dropped Value events; verdicts on this history are unknown.
	Shed
	// Ended: the run is over and its audit complete; always the last event.
	Ended
)

// StateCode is the Reason of a NodeState row that says that a node runs code of the user's own.
const StateCode = "code"

// Outcome says how something ended.
type Outcome uint8

// The outcomes. Unknown is an answer that never came: what was asked may have happened.
const (
	None Outcome = iota
	Ok
	Fail
	Unknown
)

// Event is one row. Events are compared by (At, Kind, Node, Replica, Flow, Message), not by the
// order in which a recorder saw them. Values are copied freely; strings are names that the run
// shares, so an event costs no allocation.
type Event struct {
	At         int64 // ns since the run began, on its one monotonic clock
	Kind       Kind
	Outcome    Outcome
	Attempt    int32 // from 1; 0 where attempts do not apply
	Delivery   int32 // from 1
	Replica    int32 // replica of a service, member of a fleet
	Partition  int32
	Offset     int64
	Message    int64 // dense within its flow, from 0; −1 where there is no message
	Parent     int64 // of ParentFlow; −1 for none
	KeySeq     int64 // position within Flow and Key, from 0; −1 for none
	Duration   int64 // ns
	Value      int64
	Trace      [16]byte
	Node       string // full dotted name
	Handler    string
	Step       string
	Flow       string
	ParentFlow string
	Key        string
	Wire       string // "from -> to", full names
	Channel    string // full channel reference
	Reason     string
}

// New is an event of one kind with every "no message" field set; it is how events are begun.
func New(kind Kind, at int64) Event {
	return Event{Kind: kind, At: at, Message: -1, Parent: -1, KeySeq: -1}
}
