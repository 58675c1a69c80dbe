// Package engine is what runs behind a broker or a store: it yields something that listens,
// nothing more.
//
// It lives in the run step of load → plan → run → check → report. Clients never know which
// engine they talk to; an engine says what it can do and what a verdict on it is worth.
package engine

import (
	"context"
	"net"
	"time"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/features"
)

// Engine is one broker or store. Start and Stop may alternate any number of times; addresses stay
// the same. An engine's methods are called by one goroutine at a time, except Info, Usage and Held.
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
	features.Features
	Version string
}

// InfoOf is what the table of features says of a node's engine.
func InfoOf(s features.Set, n *topology.Node, version string) Info {
	f, _ := features.Of(s, n)
	return Info{f, version}
}

// Fetcher gets what an engine is made of before its first start, where that may take long: the time
// for it is not the time to be ready.
type Fetcher interface {
	// Fetch tells what it is about to do by say, and nothing where all is there already.
	Fetch(ctx context.Context, say func(text string)) error
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

// LeaderLoser takes down the member of a cluster that leads most partitions.
type LeaderLoser interface {
	// LoseLeader kills it and returns a function that starts it again and returns when it answers.
	LoseLeader(ctx context.Context) (heal func(context.Context) error, err error)
}

// Pauser freezes a running engine: connections stay open, nothing is answered.
type Pauser interface {
	Pause(ctx context.Context) (resume func(context.Context) error, err error)
}

// Limiter narrows what a running engine may use. Lift also starts an engine that ended for want of
// it, and returns when it answers.
type Limiter interface {
	// Limit bounds processor time in cores and memory in bytes; 0 leaves that one alone.
	Limit(ctx context.Context, cores float64, memory int64) (
		lift func(context.Context) error, err error)
}

// DiskFiller takes the room on the disk that a running engine keeps its data on. Free also starts
// an engine that ended for want of it, and returns when it answers.
type DiskFiller interface {
	FillDisk(ctx context.Context) (free func(context.Context) error, err error)
}

// Cutter drops every packet to and from a running engine, inside its own network: connections hang.
type Cutter interface {
	CutOff(ctx context.Context) (mend func(context.Context) error, err error)
}

// WriteRefuser makes a running broker refuse what is published, for want of replicas that have it.
type WriteRefuser interface {
	RefuseWrites(ctx context.Context) (heal func(context.Context) error, err error)
}

// MemoryAlarmer raises a running broker's memory alarm: publishers are held until it is lowered.
type MemoryAlarmer interface {
	MemoryAlarm(ctx context.Context) (heal func(context.Context) error, err error)
}

// Throttler answers requests beyond a rate with the broker's own throttling error.
type Throttler interface {
	Throttle(ctx context.Context, perSecond float64) (heal func(context.Context) error, err error)
}

// Usage is what a running engine uses of the machine, all its members together.
type Usage struct {
	CPU    time.Duration // processor time since its start
	Memory int64         // bytes now
}

// Metered tells what an engine uses. Usage may be called at any time, also while another of the
// engine's methods is at work; it is an error while the engine does not run.
type Metered interface {
	Usage(ctx context.Context) (Usage, error)
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
	// Run is what a container engine labels its containers with; empty for engines in this process.
	Run string
	// Image is the container image to run; "" is the default of the engine's features.
	Image string
	// Disk makes the engine keep its data on a disk of that many bytes, which can be filled and
	// does not outlive a stop; 0 is the machine's own disk.
	Disk int64
}

// Host is where an engine listens: the fabric, bound to the engine's node.
type Host interface {
	Listen(replica int) (net.Listener, error)
	Announce(replica int, addr string) error
	Port(replica int) (int, error)
	// Dial connects to the port that Port gave for a replica, over no wire: it is the engine's own
	// way to ask whether what it started answers.
	Dial(ctx context.Context, replica int) (net.Conn, error)
}
