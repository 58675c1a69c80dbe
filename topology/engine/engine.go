// Package engine is what runs behind a broker or a store: it yields something that listens,
// nothing more.
//
// It lives in the run step of load → plan → run → check → report. Clients never know which
// engine they talk to; an engine says what it can do and what a verdict on it is worth.
package engine

import (
	"context"
	"net"

	"github.com/faultline-sim/faultline/topology"
)

// Engine is one broker or store. Start and Stop may alternate any number of times; addresses stay
// the same. An engine's methods are called by one goroutine at a time, except Info.
type Engine interface {
	// Start listens and returns when a client's request would be answered; it probes, never sleeps.
	Start(ctx context.Context) error
	// Stop ends it in order and keeps what it stored where the engine can keep it.
	Stop(ctx context.Context) error
	// Kill ends it without order: connections drop at once.
	Kill(ctx context.Context) error
	// Wipe forgets all data; the engine must be stopped.
	Wipe(ctx context.Context) error
	// Info says what it is and what it can do.
	Info() Info
	// Close stops it and removes all that it made. It is called last and may be called twice.
	Close() error
}

// Info describes an engine.
type Info struct {
	Name      string // "kfake", "mochi-mqtt" …
	Version   string
	Imitation bool   // true when it is not the product that its protocol is known by
	Worth     string // what a verdict on it is worth, one sentence
	Can       Capabilities
}

// Capabilities are what a scenario may ask of an engine; validate refuses the rest.
type Capabilities struct {
	KeepsData     bool // over Stop and Start
	MoveLeader    bool // implements LeaderMover
	DisconnectAll bool // implements Disconnecter
	Pause         bool
}

// LeaderMover moves the leadership of a topic's partitions to another cluster member.
type LeaderMover interface {
	// MoveLeaders returns how many partitions changed their leader; topic "" is all topics.
	MoveLeaders(ctx context.Context, topic string) (int, error)
}

// Disconnecter drops all client connections of a running broker and says how many there were.
type Disconnecter interface {
	DisconnectAll(ctx context.Context) (int, error)
}

// Holder tells what a running broker holds for its clients, where no client may ask it.
type Holder interface {
	// Held is how many messages wait for each client to take or acknowledge them, by channel and
	// client id. It is nil while the broker is stopped.
	Held() map[Waiting]int64
}

// Waiting is a channel's name and the id of a client that has not yet been done with it.
type Waiting struct{ Channel, Client string }

// Config is what an engine is given.
type Config struct {
	Node     *topology.Node
	Channels []*topology.Channel // those that the node carries
	Host     Host
	Dir      string // an own folder for data, removed by the stack
	// Authenticate judges a client's user name and password; nil lets everyone in.
	Authenticate func(user, password string) error
}

// Host is where an engine listens: the fabric, bound to the engine's node.
type Host interface {
	Listen(replica int) (net.Listener, error)
	Announce(replica int, addr string) error
	Port(replica int) (int, error)
}
