// Package fleet simulates many devices or users of one sort: members that log in, hold a
// connection, send what the load plan asks of them and receive what is for them.
//
// It acts in the run step of load → plan → run → check → report. It promises that each member sends
// a flow's messages in the order they were offered, tries again as its session and sends declare,
// keeps the intended send time, and counts whatever it received as a flow's sink. A member costs no
// goroutine of its own beyond its client's. It talks through wires only and imports nothing of
// scenarios, checkers or services' replicas.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/auth"
	"github.com/faultline-sim/faultline/simulators/conn/httpx"
	"github.com/faultline-sim/faultline/simulators/service/program"
	"github.com/faultline-sim/faultline/topology"
)

// parallel is how many members are connected, or closed, at once.
const parallel = 64

// Config is what a fleet is made from.
type Config struct {
	Env     *simulators.Env
	Node    *topology.Node
	Clients simulators.Clients
}

// Fleet is one fleet with all its members. It is safe for concurrent use.
type Fleet struct {
	env          *simulators.Env
	node         *topology.Node
	clients      simulators.Clients
	program      *program.Program
	authority    *auth.Authority
	sends        map[string]*send         // by flow
	callees      map[string]*httpx.Client // shared by the members; each request has a connection
	lines        simulators.Lines         // of the shared clients
	login        login
	brokers      []string      // brokers that every member connects to
	dials        *rate.Limiter // nil is as many as there are
	logins       *rate.Limiter
	misbehaviors program.Misbehaviors
	sunk         simulators.Tally
	members      []*member

	pending   atomic.Int64
	connected atomic.Int64
	life      context.Context // ends with Close
	end       context.CancelFunc
	work      group
}

var (
	_ simulators.Crowd  = (*Fleet)(nil)
	_ simulators.Source = (*Fleet)(nil)
)

// New makes a fleet that is not connected yet. It fails when a handler or send cannot be done.
func New(c Config) (*Fleet, error) {
	f := &Fleet{
		env: c.Env, node: c.Node, clients: c.Clients,
		sends: map[string]*send{}, callees: map[string]*httpx.Client{},
	}
	if err := f.compile(); err != nil {
		return nil, fmt.Errorf("make fleet %q: %w", c.Node.Name, err)
	}
	if r := c.Node.Session.ConnectRate; r > 0 {
		burst := max(1, r/10) // so that no second, wherever it begins, has more than r
		f.dials = rate.NewLimiter(rate.Limit(max(1, r-burst)), burst)
		f.logins = rate.NewLimiter(rate.Limit(max(1, r-burst)), burst)
	}
	f.life, f.end = context.WithCancel(context.Background())
	for i := range max(1, c.Node.Count) {
		f.members = append(f.members, f.newMember(i))
	}
	return f, nil
}

func (f *Fleet) compile() (err error) {
	if f.program, err = program.Compile(f.env.Topology, f.node); err != nil {
		return err
	}
	if f.authority, err = auth.New(f.env.Key); err != nil {
		return err
	}
	for _, s := range f.node.Sends {
		if f.sends[s.Flow], err = f.compileSend(s); err != nil {
			return fmt.Errorf("compile send of flow %q: %w", s.Flow, err)
		}
	}
	for _, callee := range f.program.Callees {
		f.callee(callee)
	}
	f.findBrokers()
	return f.findLogin()
}

// callee is the shared client towards a service or cloud.
func (f *Fleet) callee(name string) *httpx.Client {
	c, ok := f.callees[name]
	if !ok {
		w := topology.Wire{From: f.node.Name, To: name}
		c = httpx.NewClient(f.lines.Over(f.env.Fabric.Dialer(w, 0)))
		f.callees[name] = c
	}
	return c
}

// Name is the node's full name.
func (f *Fleet) Name() string { return f.node.Name }

// Start returns when every member is logged in, connected and subscribed.
func (f *Fleet) Start(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(parallel)
	for _, m := range f.members {
		f.env.Stagger(ctx, 1)
		all.Go(func() error { return m.start(ctx) })
	}
	if err := all.Wait(); err != nil {
		return fmt.Errorf("start fleet %q: %w", f.node.Name, err)
	}
	return nil
}

// Close ends all members at once; messages that are not answered by then never will be. It returns
// when nothing of the fleet is left.
func (f *Fleet) Close() error {
	f.end()
	f.work.close()
	var closing errgroup.Group
	closing.SetLimit(parallel)
	for _, m := range f.members {
		closing.Go(m.close)
	}
	errs := []error{closing.Wait()}
	for _, c := range f.callees {
		errs = append(errs, c.Close())
	}
	f.lines.Sever()
	return errors.Join(errs...)
}

// Inject makes the members' handlers and sends misbehave until healed.
func (f *Fleet) Inject(b simulators.Behavior) (simulators.Injection, error) {
	switch b.Kind {
	case simulators.Quota, simulators.Outage, simulators.CrashOn:
		return nil, fmt.Errorf("inject into %q: a fleet cannot do %q", f.node.Name, b.Kind)
	}
	injection, err := f.misbehaviors.Inject(f.env, b)
	if err != nil {
		return nil, fmt.Errorf("inject into %q: %w", f.node.Name, err)
	}
	return injection, nil
}

// Disconnect drops the connections of members and says how many had any.
func (f *Fleet) Disconnect(who simulators.Members) (dropped int) {
	for _, m := range f.meant(who) {
		if m.lines.Drop() > 0 {
			dropped++
		}
	}
	return dropped
}

// Forget takes their tokens from members: they have to log in before they can connect again.
func (f *Fleet) Forget(who simulators.Members) {
	for _, m := range f.meant(who) {
		m.token.renew("")
	}
}

// meant are the members that are named, or else the first ones, by share.
func (f *Fleet) meant(who simulators.Members) []*member {
	if who.Only == nil {
		n := int(who.Share*float64(len(f.members)) + 0.5)
		return f.members[:min(max(n, 0), len(f.members))]
	}
	var named []*member
	for _, i := range who.Only {
		if i < len(f.members) {
			named = append(named, f.members[i])
		}
	}
	return named
}

// Connected is how many members hold a working connection now, of how many. Members that need
// none, because they only ask over HTTP, count as connected.
func (f *Fleet) Connected() (now, all int) {
	if len(f.brokers) == 0 && !f.polls() {
		return len(f.members), len(f.members)
	}
	return int(f.connected.Load()), len(f.members)
}

// Sunk reports the messages of a flow that members received as its sink, with the copies of each.
func (f *Fleet) Sunk(flow string, found func(number int64, copies int)) { f.sunk.Each(flow, found) }

// Pending is how many offered messages are not answered yet.
func (f *Fleet) Pending() int64 { return f.pending.Load() }

// Busy is how many messages are in the members' hands: offered, or being handled.
func (f *Fleet) Busy() int64 {
	n := f.Pending()
	for _, m := range f.members {
		n += m.inbox.size() + m.actor.InHand()
	}
	return n
}

// rand is a generator of a member's own.
func (f *Fleet) rand(use string, m *member) *rand.Rand { return f.env.Rand(use, f.node.Name, m.id) }

// group is goroutines that a close waits for; after it none is begun.
type group struct {
	mu     sync.Mutex
	closed bool
	wait   sync.WaitGroup
}

// start runs work in a goroutine; false says that the group is closed.
func (g *group) start(work func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.wait.Go(work)
	return true
}

func (g *group) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.wait.Wait()
}
