// Package program is what a simulated node does with what reaches it: declared handlers made ready
// to run, and the actor that runs them for one replica of a service or cloud, or one member of a
// fleet.
//
// It acts in the run step of load → plan → run → check → report. It promises that every delivery
// ends acknowledged, dead-lettered, given back or answered unless its actor stops before, that each
// try of each step is a row of the history, and that no step knows the topology it stands in. It
// owns no connection and no listener: those are its owner's. It may not import net/http or any
// client of a broker.
package program

import (
	"context"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/auth"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/httpx"
	"github.com/faultline-sim/faultline/simulators/service/mailbox"
	"github.com/faultline-sim/faultline/topology"
)

// Config is what an actor is made from. All of it but Index and Client may be shared by the actors
// of one node.
type Config struct {
	Env          *simulators.Env
	Program      *Program
	Index        int32  // replica or member
	Client       string // unique among all actors; names groups of its own
	Source       string // CloudEvents source of the messages that are born here
	Authority    *auth.Authority
	Boxes        map[string]*mailbox.Boxes // mailboxes that the node keeps, by channel
	Misbehaviors *Misbehaviors             // nil is none
	Applied      *simulators.Tally         // counts messages that end here
	Crash        func()                    // what a behaviour that crashes calls; must not wait
	Watch        *Watch                    // is told of work that is taken in hand; nil is nobody
	Gate         *Gate                     // holds all handlers while it is closed; nil is never
	// Stopping ends when the actor is to begin nothing new: pauses before another attempt end then.
	Stopping context.Context
}

// Actor runs a program's handlers. Its clients are set before it is first used; then it is safe for
// concurrent use.
type Actor struct {
	Config
	Brokers map[string]conn.Broker
	Stores  map[string]conn.Store
	Callees map[string]*httpx.Client

	guards   []*guard
	memories []memory
	replies  replies
	pool     *semaphore.Weighted // nil is unbounded
	pass     pass
	gone     atomic.Pointer[string]
	inHand   atomic.Int64
}

// New makes an actor without clients.
func New(c Config) *Actor {
	a := &Actor{
		Config:   c,
		Brokers:  map[string]conn.Broker{},
		Stores:   map[string]conn.Store{},
		Callees:  map[string]*httpx.Client{},
		guards:   make([]*guard, c.Program.guards),
		memories: make([]memory, c.Program.guards),
	}
	if a.Gate == nil {
		a.Gate = new(Gate)
	}
	if n := c.Program.Node.Pool; n > 0 {
		a.pool = semaphore.NewWeighted(int64(n))
	}
	for _, h := range c.Program.Handlers {
		a.guards[h.guard] = a.newGuard(h.Policy, h.permanent, a.breakerRow(h, nil))
		a.guards[h.guard].refuses = h.HTTP != ""
		a.guardSteps(h, h.steps)
	}
	return a
}

func (a *Actor) guardSteps(h *Handler, steps []*step) {
	for _, s := range steps {
		var permanent []string
		if r := s.Policy.Retry; r != nil {
			permanent = r.Permanent
		}
		a.guards[s.guard] = a.newGuard(s.Policy, permanent, a.breakerRow(h, s))
		a.guardSteps(h, s.do)
	}
}

// breakerRow records the changes of a handler's or step's breaker.
func (a *Actor) breakerRow(h *Handler, s *step) func(state string) {
	return func(state string) {
		e := history.New(history.Breaker, a.now())
		e.Node, e.Replica, e.Handler, e.Reason = a.Program.Node.Name, a.Index, h.Name, state
		if s != nil {
			e.Step, e.Wire = s.Name, s.wire
		}
		if a.gone.Load() == nil {
			a.Env.Recorder.Record(&e)
		}
	}
}

// Gone says that the actor knows nothing from now on, and why: what it still does is recorded as
// unknown or not at all.
func (a *Actor) Gone(reason string) { a.gone.CompareAndSwap(nil, &reason) }

// InHand is how many items are being handled now.
func (a *Actor) InHand() int64 { return a.inHand.Load() }

// Over says that a request to a handler is over its declared rate limit.
func (a *Actor) Over(h *Handler) bool {
	g := a.guards[h.guard]
	return g.limiter != nil && !g.limiter.TryAcquirePermit()
}

// CheckToken is nil for a good token, else a failure of the reason "auth".
func (a *Actor) CheckToken(token string) error {
	if err := a.Authority.Verify(token); err != nil {
		return simulators.Refusal(simulators.ReasonAuth, err)
	}
	return nil
}

// enterPool waits for a place among the handler runs that the node allows at once.
func (a *Actor) enterPool(ctx context.Context) error {
	if a.pool == nil {
		return ctx.Err()
	}
	return a.pool.Acquire(ctx, 1)
}

func (a *Actor) leavePool() {
	if a.pool != nil {
		a.pool.Release(1)
	}
}

// broker is the client of the broker that carries a channel.
func (a *Actor) broker(ref string) (conn.Broker, error) {
	b, ok := a.Brokers[topology.ChannelNode(ref)]
	if !ok {
		return nil, simulators.Refusal(simulators.ReasonError,
			fmt.Errorf("use %q: no connection to its broker", ref))
	}
	return b, nil
}
