// Package simulators says what a simulated node is and what it is given.
//
// Fleets, clouds and services live in folders of their own and act in the run step of load → plan
// → run → check → report: they obey the topology as built, talk only through wires, and record
// what they do. They know nothing of scenarios, checkers or verdicts.
package simulators

import (
	"context"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/faultline-sim/faultline/simulators/record"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
)

// Env is what every simulator of a run is given. It is shared, safe for concurrent use, and owned
// by the runner.
type Env struct {
	Topology *topology.Topology // as built
	Fabric   wire.Fabric
	Recorder *record.Recorder
	Seed     uint64
	// TracePrefix is the first 8 bytes of every trace id of the run, see wire.Marker.
	TracePrefix [8]byte
	// Key signs and verifies the tokens that the topology's auth services issue.
	Key []byte
	// Run is what the run is known by: containers that are made for it carry it as a label.
	Run string
	// Logs is the folder that what programs of the user's own print is kept in, made when it is
	// first needed; "" keeps none.
	Logs string
	// Progress is told what a node does that takes long; nil is allowed. It may be called by several
	// goroutines at once.
	Progress func(node, what string)
	// Code is the user's own, in place of what would be simulated; nil is none.
	Code *Code
	// Apart is how far apart what is started together begins; 0 is at once. Where nothing takes any
	// time it decides who is first.
	Apart time.Duration

	numbers sync.Map // sequence to its next number
	births  births

	correlations correlations
}

// Rand is a generator of its own for one device, connection or service; the same parts give the
// same sequence in every run with the same seed.
func (e *Env) Rand(parts ...string) *rand.Rand {
	h := fnv.New64a()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return rand.New(rand.NewPCG(e.Seed, h.Sum64()))
}

// Stagger waits until the turn of one of those that are started together, counted from 0.
func (e *Env) Stagger(ctx context.Context, turn int) {
	if e.Apart == 0 || turn == 0 {
		return
	}
	t := time.NewTimer(time.Duration(turn) * e.Apart)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Next is the next number of a dense sequence that begins at 0: the messages of a flow, or the
// messages of a flow with one key.
func (e *Env) Next(sequence ...string) int64 {
	key := strings.Join(sequence, "\x00")
	v, ok := e.numbers.Load(key)
	if !ok {
		v, _ = e.numbers.LoadOrStore(key, new(atomic.Int64))
	}
	return v.(*atomic.Int64).Add(1) - 1
}

// Trace is the trace id of a message: the run's prefix, the flow's hash and the number.
func (e *Env) Trace(flow string, number int64) (id [16]byte) {
	copy(id[:8], e.TracePrefix[:])
	h := fnv.New32a()
	h.Write([]byte(flow))
	sum := h.Sum32()
	for i := range 4 {
		id[8+i] = byte(sum >> (24 - 8*i))
		id[12+i] = byte(uint32(number+1) >> (24 - 8*i))
	}
	return id
}

// Node is one simulated node with all its replicas or members.
type Node interface {
	Name() string
	// Start returns when every replica or member is ready: logged in, connected, subscribed,
	// listening.
	Start(ctx context.Context) error
	// Inject makes the node misbehave until healed.
	Inject(b Behavior) (Injection, error)
	// Close ends everything of the node, in order, and returns when nothing of it is left.
	Close() error
}

// Source originates the messages of a flow.
type Source interface {
	// Offer begins one message of a flow that the plan intended for a time (ns of the recorder's
	// clock). It never blocks; the message's number within its flow is the caller's.
	Offer(flow string, number, intended int64)
	// Pending is how many offered messages are not answered yet.
	Pending() int64
}

// Replicated is a node whose replicas can be stopped and started.
type Replicated interface {
	Node
	// Replicas is how many there are, running or not.
	Replicas() int
	// StopReplica lets work in hand finish and unacknowledged deliveries go back.
	StopReplica(ctx context.Context, replica int) error
	// CrashReplica drops all connections and work in hand at once, as kill -9 would.
	CrashReplica(ctx context.Context, replica int) error
	// StartReplica starts a stopped or crashed one and returns when it is ready.
	StartReplica(ctx context.Context, replica int) error
	// PauseReplica freezes handlers until the returned function is called; connections stay.
	PauseReplica(replica int) (resume func(), err error)
	// Scale starts or stops replicas until there are n.
	Scale(ctx context.Context, n int) error
}

// Worker is a node that tells when it has work in hand.
type Worker interface {
	Node
	// AwaitInHand returns when a replica (below 0: all together) handles at least so many messages at
	// once, or ctx ends.
	AwaitInHand(ctx context.Context, replica, atLeast int) error
	// InHand is how many messages a replica (below 0: all together) handles now.
	InHand(replica int) int64
}

// Limited is a node whose replicas' use of the machine can be narrowed, since they run in containers.
type Limited interface {
	Replicated
	// LimitReplica bounds a replica's processor time in cores and its memory in bytes; 0 leaves that
	// one alone. Lift also starts a replica that ended for want of it, and returns when it is ready.
	LimitReplica(ctx context.Context, replica int, cores float64, memory int64) (
		lift func(context.Context) error, err error)
}

// Crowd is a node of many members that hold connections.
type Crowd interface {
	Node
	// Disconnect drops the connections of members, which then come back as their session says; it
	// returns how many had any.
	Disconnect(Members) int
	// Connected is how many members hold a working connection now, of how many.
	Connected() (now, all int)
	// Sunk reports every message the members received as a flow's sink, with the copies each got.
	Sunk(flow string, found func(number int64, copies int))
}

// Forgetful is a crowd whose members can be made newcomers: they come back without their tokens.
type Forgetful interface {
	Crowd
	// Forget takes the tokens of the members that Disconnect would mean.
	Forget(Members)
}

// Members are some of a crowd: those that Only names, or else the first ones, Share of all.
type Members struct {
	Share float64
	Only  []int // counted from 0; nil leaves the choice to Share
}

// Ledger is implemented by services that are themselves a flow's sink: what they have applied, as
// their own durable storage would know it.
type Ledger interface {
	Applied(flow string, found func(number int64, copies int))
}

// BehaviorKind says how a node misbehaves.
type BehaviorKind string

// The behaviours.
const (
	Errors     BehaviorKind = "errors"     // a share of requests or deliveries fail with Status
	Slow       BehaviorKind = "slow"       // work takes Delay longer
	Poison     BehaviorKind = "poison"     // a share of a flow's messages fail every time until healed
	CrashOn    BehaviorKind = "crash"      // a share of a flow's messages crash the replica, once each or every time
	Quota      BehaviorKind = "quota"      // requests beyond Rate per second are answered 429
	Outage     BehaviorKind = "outage"     // every request is answered 503
	Duplicates BehaviorKind = "duplicates" // a share of published messages is published twice
)

// Behavior is one misbehaviour. Which messages a Share means is decided by the run's seed and the
// message's number, so that a redelivered message meets the same fate; errors and slowness are
// drawn anew each time a message comes by, as a service under stress would.
type Behavior struct {
	Name     string
	Kind     BehaviorKind
	Replicas []int  // of the node, counted from 0; nil is all
	Flow     string // "" is all flows
	Share    float64
	Every    bool // crash: at each delivery
	Status   int
	Delay    time.Duration
	Rate     float64
}

// Injection is a behaviour in force.
type Injection interface {
	// Touched is the number of flow messages answered wrongly, held or crashed upon so far.
	Touched() int64
	Heal()
}

// Chosen says whether a behaviour with this name and share means a message.
func (e *Env) Chosen(name, flow string, number int64, share float64) bool {
	if share >= 1 {
		return true
	}
	h := fnv.New64a()
	h.Write([]byte(name + "\x00" + flow))
	r := rand.New(rand.NewPCG(e.Seed^uint64(number)*0x9e3779b97f4a7c15, h.Sum64()))
	return r.Float64() < share
}
