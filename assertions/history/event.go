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
// offset, delivery, attempt, reason, duration_ns and value. A column means what the field of Event
// of that name means, and for each kind what its Kind says. Numbers are 64-bit (replica, partition,
// delivery and attempt: 32-bit) signed integers, all else is text. Kinds and outcomes are words
// ("dead_letter", "ok"; no outcome is ""), traces 32 hex digits. No column is nullable: what an
// event does not set is "" in a text, -1 in message, parent and key_seq, and else 0.
//
// # Queries
//
// Any engine that reads Parquet reads a history, and each file's bounds of pages and row groups let
// it skip what a filter excludes. In DuckDB this is the slowest failed call of each wire:
//
//	SELECT wire, count(*), max(duration_ns) / 1e6 AS ms FROM 'RUN/history/*.parquet'
//	WHERE kind = 'call' AND outcome = 'fail' GROUP BY wire
//
// For a run that did not end the pattern is 'RUN/history/segments/*.parquet'. The column "offset"
// stands in double quotes, for it is a word of SQL. A message is named by flow and message together.
// How long a message took to a sink is the first at_ns there less the at_ns of its row of kind
// produce without an outcome, or of its first derive row; assertions/secondopinion has such
// definitions for all that is judged. Files of a faultline before December 2026 have wrong bounds:
// filters of DuckDB find nothing in them, and every other reading is right.
//
// The file's metadata hold the format's version and a checksum of all the rest.
package history

// Format is the version of the events' meaning and of the segments' columns. A reader refuses a
// higher one.
const Format = 1

// Kind says what happened.
type Kind uint8

// The kinds of events, each with its word in the column kind. What each one means, and which fields
// it sets beside At, Kind and Node, stands behind it; "step fields" are Handler, Step, Wire, Attempt,
// Outcome, Reason and Duration, "message fields" are Flow, Message, Trace, Key and KeySeq. Who acts
// is Node and Replica. A Reason is set where an Outcome is Fail or Unknown: "timeout", "reset",
// "refused", an HTTP status ("404"), "crash", "stopped", "error" and others that package simulators names.
const (
	_ Kind = iota
	// Produce ("produce"): a source begins a message (Outcome None, At the intended send time,
	// message fields), and a second row when it was answered (Ok, Fail or Unknown; Duration since the
	// intended time; Reason).
	Produce
	// Receive ("receive"): a delivery reached a handler (message fields, Handler, Channel or Wire,
	// Partition, Offset, Delivery: how often this handler has been given this message, from 1).
	Receive
	// Attempt ("attempt"): one run of a whole handler over a delivery ended (message fields, step
	// fields but Step, Channel or Wire as in Receive, Partition, Offset, Delivery; Attempt from 1
	// within the delivery). It began at At − Duration.
	Attempt
	// Publish, Call, Store ("publish", "call", "store"): one try of a step ended (message fields, step
	// fields, Delivery; Publish also Channel). It began at At − Duration. Call is HTTP, a request over
	// a broker (Channel is the request's) or a lookup; Store is a write. A source's own try has no
	// Handler and the Step "send <flow>"; a login is a Call without message fields and the Step
	// "login". A Store that is Ok is the arrival at the store at the Wire's far end.
	Publish
	Call
	Store
	// Ack ("ack"): the delivery was given back to its broker as done (Ok) or to be given again (Fail):
	// message fields, Handler, Wire, Channel, Partition, Offset, Delivery, Duration; Reason
	// "duplicate" where a dedupe policy dropped a copy.
	Ack
	// Filter ("filter"): the message rightly ends here (message fields, Handler, Delivery; Step is
	// the condition).
	Filter
	// Derive ("derive"): a new message is born of another: message fields are the new one's, Parent
	// and ParentFlow the old one's; Handler and Step are the ones that publish it.
	Derive
	// DeadLetter ("dead_letter"): the message was sent to Channel, a dead-letter channel (message
	// fields, Handler, Wire, Delivery; Reason is why, Attempt how many handler attempts were made,
	// Outcome whether the publish was answered, Duration how long it took).
	DeadLetter
	// Expire ("expire"): the message outlived its TTL and was dropped (message fields, Handler,
	// Channel, Delivery).
	Expire
	// Reject ("reject"): the message was refused as permanent (Reason "schema", "auth", "404" …) to
	// its caller (message fields, Handler, Delivery, Outcome Fail). A delivery that nobody can read has
	// no message fields, but Wire, Channel, Partition and Offset.
	Reject
	// Reply ("reply"): the answer to a produced request is back at its source (message fields;
	// Duration since its intended send time).
	Reply
	// Redrive ("redrive"): an operator moved a dead-lettered message back to Channel (message fields,
	// Partition, Offset; Node is the broker, Step the dead-letter channel it came from).
	Redrive
	// Found ("found"): the audit read the message back: at a sink (Node is the sink, Channel empty) or
	// in a channel (Channel set; Node the broker). Flow, Message and Trace are set; Value counts the
	// copies found.
	Found
	// Breaker ("breaker") changed state (Handler, Step, Wire; Reason "closed", "open" or "half_open").
	Breaker
	// Action ("action"): an operator's or the timeline's act (Reason says which, Step its name, Node or
	// Wire its target).
	Action
	// Fault ("fault"): Step is the fault's name, Handler its kind, Reason "inject", "bite" or "heal",
	// Node or Wire its target, Flow the one flow it is about, if any; a bite's and a heal's Value is
	// the number of flow messages touched so far.
	Fault
	// Phase ("phase"): the phase named by Step begins: "setup", "steady", "timeline", "recover",
	// "drain", "audit". No other field is set.
	Phase
	// NodeState ("node"): a node's Replica changed: Reason "up", "ready", "down", "crash", "connect",
	// "disconnect" (both with the Wire), "login"; StateCode says, before any of its replicas is up,
	// that the node runs code of the user's own, of which nothing is seen from inside.
	NodeState
	// Gauge ("gauge"): Step names it, Value is the reading: "depth" or "lag" of a Channel for the group
	// in Handler (Node is the broker), "bytes_up" and "bytes_down" of a Wire so far, "sched_delay_ns"
	// of the harness, "unsettled", "asked" of a Flow: the messages that the plan asks for; of a
	// container (Node) "cpu_permille", thousandths of one core since its last reading, and
	// "memory_bytes".
	Gauge
	// Shed ("shed"): the recorder dropped Value events; verdicts on this history are unknown.
	Shed
	// Ended ("ended"): the run is over and its audit complete; always the last event. Node is empty.
	Ended
)

// StateCode is the Reason of a NodeState row that says that a node runs code of the user's own.
const StateCode = "code"

// Outcome says how something ended.
type Outcome uint8

// The outcomes: "", "ok", "fail" and "unknown" in the column outcome. Unknown is an answer that never
// came: what was asked may have happened.
const (
	None Outcome = iota
	Ok
	Fail
	Unknown
)

// Event is one row; the column of a field is its name in lower case, with its unit where it has one.
// Events are compared by (At, Kind, Node, Replica, Flow, Message), not by the order in which a
// recorder saw them. Values are copied freely; strings are names that the run shares, so an event
// costs no allocation.
type Event struct {
	At         int64 // at_ns: ns since the run began, on its one monotonic clock
	Kind       Kind
	Outcome    Outcome
	Attempt    int32    // from 1; 0 where attempts do not apply
	Delivery   int32    // from 1; 0 where there is none
	Replica    int32    // of a service, from 0; of a fleet, its member
	Partition  int32    // of the channel, or its shard; 0 where the broker has none
	Offset     int64    // of the delivery in its partition, as the broker counts; 0 where it does not
	Message    int64    // dense within its flow, from 0; −1 where there is no message
	Parent     int64    // of ParentFlow; −1 for none
	KeySeq     int64    // key_seq: position within Flow and Key, from 0; −1 for none
	Duration   int64    // duration_ns: ns, ending at At
	Value      int64    // a count or reading: see Found, Fault, Gauge and Shed
	Trace      [16]byte // W3C trace id; zero ("" in the column) for none
	Node       string   // full dotted name of who acts, or is acted on
	Handler    string   // of Node; see Fault and Gauge for what else it names
	Step       string   // of Handler, as plans and verdicts name it: "call data_api"
	Flow       string   // of Message
	ParentFlow string   // parent_flow
	Key        string   // ordering key of the message; "" for none
	Wire       string   // "from -> to", full names; from dials
	Channel    string   // full channel reference: "broker/name", with ":id" or a member's own
	Reason     string   // one word for why
}

// New is an event of one kind with every "no message" field set; it is how events are begun.
func New(kind Kind, at int64) Event {
	return Event{Kind: kind, At: at, Message: -1, Parent: -1, KeySeq: -1}
}
