// Package wire is the fabric: every connection of every simulator, through a Toxiproxy proxy of
// its own.
//
// It lives in the run step of load → plan → run → check → report. No other package dials or
// listens, so every wire of the drawing is a fault point by construction. It is the only package
// that imports toxiproxy, and imports nothing of simulators, scenarios, assertions or reports.
package wire

import (
	"context"
	"net"
	"time"

	"github.com/faultline-sim/faultline/topology"
)

// Fabric connects the nodes of one running topology. It is safe for concurrent use.
type Fabric interface {
	// Listen opens the real listener of one replica of a node (replica 0 for a plain one; for a
	// broker the replica is the cluster member). The address is on 127.0.0.1 and below port 32768,
	// and the same again each time the same replica listens anew.
	Listen(node string, replica int) (net.Listener, error)
	// Announce tells the address of a replica that opened its own listener (an engine). Over Virtual
	// it is an error: nobody could dial it.
	Announce(node string, replica int, addr string) error
	// Port reserves an address for a replica whose engine insists on listening itself.
	Port(node string, replica int) (int, error)
	// Dialer gives one replica's way over a wire. Each pair of replica and far end has a proxy of
	// its own, made when it is first needed.
	Dialer(w topology.Wire, replica int) Dialer
	// Inject puts a fault on a wire until it is healed. It fails when the wire does not exist or
	// the fault's numbers are not possible.
	Inject(ctx context.Context, f Fault) (Injection, error)
	// Bytes is what has gone over a wire so far, both directions, by the fabric's own count.
	Bytes(w topology.Wire) (requests, replies int64)
	// API is the address of Toxiproxy's HTTP API, on 127.0.0.1; "" over Virtual, which has none.
	API() string
	// Close stops all proxies and the API. Listeners made by Listen are closed by their owners.
	Close() error
}

// Transport says what carries the bytes of connections whose ends are both in this process.
type Transport string

// The transports. Whatever listens or dials by itself (a container, a child process, a program from
// outside) is reached over TCP by the first two, and not at all by the third.
const (
	TCP     Transport = "tcp"     // sockets on 127.0.0.1, through the proxy's own listener
	Memory  Transport = "memory"  // rings in memory, with the proxy's toxics between them
	Virtual Transport = "virtual" // memory alone: no socket and no HTTP API, for virtual time
)

// Dialer dials the far end of one wire for one replica.
type Dialer interface {
	// Dial connects to one of the far end's replicas, in turn.
	Dial(ctx context.Context) (net.Conn, error)
	// DialAddr connects to the proxy that stands before addr, an address the far end listens on or
	// advertises ("127.0.0.1:23456"). An address that belongs to no replica of the far end is an
	// error, never a direct connection.
	DialAddr(ctx context.Context, network, addr string) (net.Conn, error)
	// Next is the address of one of the far end's replicas, in turn, as Dial would choose it: who
	// sends each request to the next one asks here and dials by DialAddr. "" when there is none yet.
	Next() string
	// Endpoints are the far end's own addresses, by replica.
	Endpoints() []string
	// Wire is the wire dialled over.
	Wire() topology.Wire
}

// Kind says what a fault does to bytes.
type Kind string

// The kinds of wire faults.
const (
	Latency   Kind = "latency"    // bytes arrive Latency later
	Bandwidth Kind = "bandwidth"  // at most BytesPerSecond pass
	Timeout   Kind = "timeout"    // a black hole: bytes wait, connections stay, all arrives after the heal
	Reset     Kind = "reset"      // connections are reset, new ones too
	SlowClose Kind = "slow_close" // a close arrives Latency later
	Slicer    Kind = "slicer"     // bytes arrive in pieces of Bytes, Latency apart
	LimitData Kind = "limit_data" // a connection closes after Bytes
	Cut       Kind = "cut"        // connections are closed and new ones refused
)

// Direction says which bytes a fault is for, seen from the dialler.
type Direction string

// The directions. Reset, SlowClose, LimitData and Cut end a connection and so touch both.
const (
	Requests Direction = "requests"
	Replies  Direction = "replies"
	Both     Direction = "both"
)

// Fault is one wire fault. Only the fields that its Kind names are read.
type Fault struct {
	Name           string
	Wire           topology.Wire
	Replica        int // the dialling replica, −1 for all
	Kind           Kind
	Direction      Direction
	Latency        time.Duration
	BytesPerSecond int64
	Bytes          int64
}

// Injection is a fault in force.
type Injection interface {
	// Touched is the number of flow messages seen so far in the bytes that the fault touched:
	// passed slowly, held or dropped. Connections refused or closed under traffic count one each.
	Touched() int64
	// Heal takes the fault away; after it returns nil the wire carries bytes as before. Past the
	// context's deadline the proxy is made anew on the same port. It may be called again.
	Heal(ctx context.Context) error
}

// Marker is what Touched looks for in bytes to count flow messages: the beginning of every
// traceparent header of the run ("00-" and the run's first 16 hex digits).
type Marker string
