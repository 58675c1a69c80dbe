// Package claims says, as data, what each broker's protocol can promise, as Faultline speaks it.
//
// It serves the load step of load → plan → run → check → report: validate and lint hold what a
// drawing asks of a broker against it, and `faultline brokers` prints it. Each claim that is made
// here is held to by the conformance suite of the clients, on every engine; a claim that is not
// tested does not exist. It is pure and imports nothing.
package claims

import (
	"maps"
	"slices"
	"time"
)

// Broker is what one protocol can promise. An empty text, a zero number and false say that it
// cannot; Instead may say what to do then.
type Broker struct {
	Protocol string
	Product  string // whose protocol it is: "Apache Kafka"

	// Order is the scope in which messages keep their order for one group: "partition of the key".
	Order string
	// KeyOrder says that the order of a key holds also where several members of a group share a
	// channel.
	KeyOrder bool
	// Parts says that a channel may have parallel parts, by key; DefaultParts is how many it has
	// where the drawing does not say. Where Parts is false the broker spreads by itself.
	Parts        bool
	DefaultParts int
	Groups       bool // members of a group share a channel's messages
	FanOut       bool // every group gets every message
	Early        bool // a declared group gets what was published before its first member came
	// Redelivery is who delivers a message again that was given back: "broker" or "client".
	Redelivery string
	// Counts says that a delivery tells how many times it was made, also over a crash.
	Counts bool
	// AckDeadline is how long a delivery of a consumer that has gone is withheld from others; 0 is
	// until its connection drops.
	AckDeadline time.Duration
	// DeadLetter is what makes the broker itself dead-letter a message: "deliveries above a limit".
	DeadLetter string
	// LeastAttempts and MostAttempts bound the deliveries before that; 0 is no bound.
	LeastAttempts, MostAttempts int
	DeadLetterFields            []string // what a message dead-lettered by the broker carries of it
	Rejects                     bool     // a consumer may hand a message to it at once
	TTL                         string   // what expires by itself: "message", "channel"
	LeastTTL                    time.Duration
	Priority                    string // "0 to 9"
	Delay                       string // how long a message may be held back before it is delivered
	Filters                     string // what a group may choose its messages by
	Transactions                string
	Transient                   bool // channels that are not kept
	// MaxMessage is the largest body in bytes that is accepted with an ordinary envelope around it.
	MaxMessage int
	Readable   bool // an audit can read what stands in a channel
	Counted    bool // the unsettled messages of a group can be counted from outside
	Wildcards  bool // one channel for each member of a fleet, ":id"
	Devices    bool // fleets speak it
	Clusters   bool // it may run on several brokers
	// Map is how a channel stands on the broker, and MapDead how it is dead-lettered natively.
	Map, MapDead string
	Instead      map[Asked]string
}

// Asked is something that a drawing asks of a broker.
type Asked string

// What a drawing may ask for that not every broker has.
const (
	NativeDeadLetter Asked = "native dead-lettering"
	MessageTTL       Asked = "ttl"
	FanOut           Asked = "fan-out to groups"
	TransientChannel Asked = "channels that are not kept"
	ParallelParts    Asked = "parallel"
	MessagePriority  Asked = "priorities"
	MessageFilter    Asked = "filters"
)

// Of is what a broker's protocol can promise; false for what is no broker's protocol.
func Of(protocol string) (Broker, bool) {
	b, ok := table()[protocol]
	b.Protocol = protocol
	return b, ok
}

// Protocols are the brokers' protocols, sorted.
func Protocols() []string { return slices.Sorted(maps.Keys(table())) }

// All are the brokers, by protocol.
func All() []Broker {
	var all []Broker
	for _, p := range Protocols() {
		b, _ := Of(p)
		all = append(all, b)
	}
	return all
}
