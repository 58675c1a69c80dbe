// Package topology is the model of a message-driven system: nodes, channels and flows, as drawn
// and as declared, with the wires they imply.
//
// It is the load step of load → plan → run → check → report: files become a Topology, or all
// mistakes with their positions. Everything in it is a value; it opens no socket and starts no
// goroutine, and imports nothing of simulators, scenarios or reports.
package topology

import (
	"time"

	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/policy"
)

// Topology is one system. Names in it are already resolved: every reference to a node is the
// node's full dotted name, every reference to a channel is "<broker's full name>/<channel>".
// It is built by Load and not changed afterwards.
type Topology struct {
	Name     string
	File     string // the YAML file it came from, "" when built in memory
	Drawing  string // the D2 file, or Markdown file with a fenced d2 block; "" when there is none
	Nodes    []*Node
	Links    []Link
	Channels []*Channel
	Flows    []*Flow
	Policies map[string]policy.Set
}

// Kind says what a node is.
type Kind string

// The kinds of nodes.
const (
	Fleet   Kind = "fleet"   // many devices or users of one sort
	Cloud   Kind = "cloud"   // a service outside our control
	Service Kind = "service" // a program of ours
	Broker  Kind = "broker"  // carries channels
	Store   Kind = "store"   // keeps data
)

// Node is one box of the drawing, or a child that refines one.
type Node struct {
	Name     string // full dotted path
	Kind     Kind
	Protocol string // brokers and stores: mqtt, kafka, s3, postgres, redis; tcp where Own is set
	Engine   string // "" leaves the choice to --engines
	// Image is what the engine of a broker or store runs in a container, "" its default.
	Image         string `json:",omitempty"`
	Count         int    // fleets: members
	Replicas      int    // clouds and services: at least 1
	Brokers       int    // brokers: nodes of the cluster, at least 1
	Login         string // fleets: the service that gives members their token, "" for none
	Authenticates string // brokers and services: the service whose tokens are asked for, "" for none
	Session       Session
	Handlers      []*Handler
	Sends         []*Send
	Quota         *policy.RateLimit // clouds: requests beyond it are answered 429
	Pool          int               // services: handler runs at once in one replica; 0 is unbounded
	Own           *Own              `json:",omitempty"` // what runs in its place, nil when nothing does
	// Correlate says where bodies tell which message they belong to, for a program in the node's place
	// that passes on no CloudEvents attributes; nil says that it does.
	Correlate *Correlate    `json:",omitempty"`
	Undrawn   string        // why the node, or a wire that ends here, is not in the drawing
	Inferred  bool          // handlers come from the flows, not from the file
	At        diag.Position // where the file declares it; zero when built in memory
}

// Session is how a fleet's members hold their connection.
type Session struct {
	Clean     bool // true forgets subscriptions and queued messages at each connect
	KeepAlive time.Duration
	Reconnect policy.Backoff
	// ConnectRate bounds how many members of the fleet may begin a connect in one second while
	// reconnecting; 0 is unbounded.
	ConnectRate int
	Inflight    int // unacknowledged messages a member keeps, buffered while disconnected
}

// Send is a message that members of a fleet, or a service on a timer, originate.
type Send struct {
	Flow    string
	To      string // "mqtt-broker/telemetry/:id" or "service METHOD /path"
	QoS     int
	Body    map[string]string // field to expr expression
	Subject string            // expr for the CloudEvents subject, "" is the member's own id
	Policy  policy.Set        // timeout and retry of the send itself
	// Unbounded and Once say that "none" was declared for timeout and retry, of which a send to a
	// broker has defaults: 5 s a try, and tries until one is answered.
	Unbounded bool `json:",omitempty"`
	Once      bool `json:",omitempty"`
}

// Handler is one thing a node does, with exactly one trigger.
type Handler struct {
	Name        string
	Subscribe   string // channel reference
	Group       string // consumer group; "" is the node's name
	HTTP        string // "POST /records"
	Every       time.Duration
	Batch       *Batch
	Concurrency int    // at least 1
	Order       string // "key" (default): one run at a time per key; "none": any order
	Ack         string // "after_work" (default) or "before_work"
	Policy      policy.Set
	Do          []*Step
	// Flows are those that the broker is to give it messages of; empty is all.
	Flows []string `json:",omitempty"`
}

// Batch gathers messages of a channel and handles them together.
type Batch struct {
	Channel string
	Size    int
	Every   time.Duration
}

// StepKind says what a step does.
type StepKind string

// The kinds of steps.
const (
	Work         StepKind = "work"         // takes time
	Validate     StepKind = "validate"     // JSON Schema on the body; breaking it is permanent
	When         StepKind = "when"         // an expr condition with its own Do
	Authenticate StepKind = "authenticate" // the message's token must be valid
	Issue        StepKind = "issue"        // answers with a token
	Call         StepKind = "call"         // HTTP to a service or cloud
	Request      StepKind = "request"      // a message over a broker, its reply awaited
	Publish      StepKind = "publish"      // a message to a channel
	StoreStep    StepKind = "store"        // writes to a store
	Lookup       StepKind = "lookup"       // reads from a store
	Reply        StepKind = "reply"        // answers the caller
)

// Step is one line under do. Only the fields of its Kind are set.
type Step struct {
	Name string // unique in its handler; "<kind> <target>" unless declared
	Kind StepKind
	// Target is a node (call, store, lookup; authenticate: the issuing one) or a channel reference
	// (publish, request).
	Target  string
	Method  string        // call: HTTP method
	Path    string        // call: HTTP path; store, lookup: table or prefix
	Append  bool          // store: a new row each time, rather than once by message id
	ReplyTo string        // request: channel the reply arrives on
	P50     time.Duration // work: median
	P99     time.Duration // work: 99th percentile
	Cond    string        // when: expr over data, flow, subject, key
	Else    string        // when: "filter" records a message as rightly dropped when Cond is false
	Schema  string        // validate: JSON Schema text
	// Derive (publish, call) is the flow of the new message born here; "" passes the same one on.
	Derive  string
	Subject string   // derive: expr for the new message's subject
	Key     string   // derive: expr for the new message's key
	Status  int      // reply: HTTP status
	Flows   []string // the step is for messages of these flows only; empty is all
	Policy  policy.Set
	Do      []*Step // when
}

// Link is an edge of the drawing between two drawn boxes.
type Link struct {
	From, To string
	Line     int // 1-based, in the drawing
}

// Channel is a topic, queue or stream on a broker, or a mailbox that a service keeps per fleet
// member (when the node before the slash is a service).
type Channel struct {
	Ref        string // "<node>/<name>"; a segment ":id" is a member's id or the message's subject
	Parallel   int    // partitions; 0 is the protocol's default
	Key        string // body field that orders
	DeadLetter *policy.DeadLetter
	TTL        time.Duration
	// Transient channels are not kept: who does not listen when a message is published misses it.
	Transient bool `json:",omitempty"`
	// Priority is the body field whose whole number, 0 to 9, says how urgent a message is; "" is none.
	Priority string `json:",omitempty"`
	// Filters are the flows that a group is given messages of, by group; who is not there has all.
	Filters map[string][]string `json:",omitempty"`
	// Groups are the consumer groups that take from it, in the topology's order. A broker with
	// queues keeps one for each, made before anything is published.
	Groups []string      `json:",omitempty"`
	At     diag.Position // where the file declares it; zero when it is only used
}

// Node is the full name of the node that carries the channel.
func (c *Channel) Node() string { return ChannelNode(c.Ref) }

// ChannelNode is the part of a channel reference before its first slash.
func ChannelNode(ref string) string { n, _ := cutRef(ref); return n }

// ChannelName is the part of a channel reference behind its first slash.
func ChannelName(ref string) string { _, n := cutRef(ref); return n }

// cutRef cuts a channel reference at its first slash outside quotes.
func cutRef(ref string) (node, name string) {
	i := indexOutside(ref, "/")
	if i < 0 {
		return ref, ""
	}
	return ref[:i], ref[i+1:]
}

// Guarantee is what a flow promises for each accepted message.
type Guarantee string

// The guarantees.
const (
	AtLeastOnce Guarantee = "at-least-once"
	ExactlyOnce Guarantee = "exactly-once"
	AtMostOnce  Guarantee = "at-most-once"
)

// Flow is a business path from a source to its sinks.
type Flow struct {
	Name        string
	Paths       [][]Hop // each line of path:, elements in order
	Key         string  // body field that orders; "" means no order is promised
	Guarantee   Guarantee
	AcceptedAt  string // node from which on a message is ours not to lose; "" is the source
	DerivedFrom string // flow whose messages give birth to this one's
	When        string // expr on the parent's body for a derived flow
	ReplyWithin time.Duration
	Sinks       []Sink
	At          diag.Position // where the file declares it; zero when built in memory
}

// Source is the full name of the node where the flow's messages begin.
func (f *Flow) Source() string {
	if len(f.Paths) == 0 || len(f.Paths[0]) == 0 {
		return ""
	}
	return f.Paths[0][0].Node
}

// Hop is one element of a path: a node, or a channel on a broker (then Node is the broker).
type Hop struct {
	Node    string
	Channel string // full channel reference, "" for a plain node
}

// Sink is a node where a flow's messages must end, with its SLO.
type Sink struct {
	Node    string
	Success float64       // share of messages that must arrive, 0 to 1; 0 is not declared
	P99     time.Duration // from intended send time to arrival; 0 is not declared
	P50     time.Duration
}

// Wire is one physical connection path, written in the direction of the dial.
type Wire struct {
	From, To string // full node names
}

// String is "worker1 -> stream" with full names.
func (w Wire) String() string { return w.From + " -> " + w.To }
