package fleet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/service/program"
	"github.com/faultline-sim/faultline/topology"
)

// member is one device or user.
type member struct {
	fleet  *Fleet
	index  int32
	id     string // stands for ":id"
	client string // towards brokers and the login, unique among all fleets
	source string
	actor  *program.Actor
	lines  simulators.Lines // of the connections it holds
	inbox  serial[arrival]
	token  token
	up     atomic.Int32 // connections that work now
	ready  atomic.Bool

	mu     sync.Mutex
	rand   *rand.Rand // spreads pauses
	flows  map[string]*outbox
	closes []func() error
}

// arrival is a delivery on its way to a handler.
type arrival struct {
	handler *program.Handler
	item    *program.Item
}

func (f *Fleet) newMember(i int) *member {
	m := &member{
		fleet: f, index: int32(i), id: topology.MemberID(f.node.Name, i),
		client: f.node.Name + "-" + strconv.Itoa(i),
		source: f.node.Name + "/" + strconv.Itoa(i),
		flows:  map[string]*outbox{},
	}
	m.actor = program.New(program.Config{
		Env: f.env, Program: f.program, Index: m.index, Client: m.client, Source: m.source,
		Authority: f.authority, Misbehaviors: &f.misbehaviors, Applied: &f.sunk,
		Stopping: f.life,
	})
	m.rand = f.rand("pauses", m)
	m.actor.Callees = f.callees
	return m
}

// findBrokers gathers the brokers that members send to or take from.
func (f *Fleet) findBrokers() {
	seen := map[string]bool{}
	for _, n := range f.env.Topology.Nodes {
		_, used := f.program.Channels[n.Name]
		for _, s := range f.sends {
			used = used || s.broker == n.Name
		}
		if used && n.Kind == topology.Broker && !seen[n.Name] {
			seen[n.Name] = true
			f.brokers = append(f.brokers, n.Name)
		}
	}
}

// start logs in, connects and subscribes.
func (m *member) start(ctx context.Context) error {
	m.record("up", "")
	if err := m.fleet.login.first(ctx, m); err != nil {
		return fmt.Errorf("log in %q: %w", m.id, err)
	}
	for _, name := range m.fleet.brokers {
		if err := m.connect(ctx, name); err != nil {
			return err
		}
	}
	if err := m.actor.SubscribeReplies(m.fleet.life); err != nil {
		return fmt.Errorf("subscribe %q: %w", m.id, err)
	}
	for _, h := range m.fleet.program.Handlers {
		if err := m.subscribe(h); err != nil {
			return fmt.Errorf("subscribe %q to %q: %w", m.id, h.Source, err)
		}
	}
	m.ready.Store(true)
	m.record("ready", "")
	return nil
}

func (m *member) connect(ctx context.Context, broker string) error {
	w := topology.Wire{From: m.fleet.node.Name, To: broker}
	c := conn.Config{
		Dialer: &paced{
			Dialer: m.lines.Over(m.fleet.env.Fabric.Dialer(w, 0)), member: m,
			dialled: m.token.shown,
		},
		Client:  m.client,
		Session: m.fleet.node.Session,
		Rand:    m.fleet.rand("client of "+broker, m),
		Recall:  m.fleet.env.Recall,
		OnState: func(state string) { m.changed(state, w) },
	}
	node := m.fleet.env.Topology.Node(broker)
	if m.fleet.login.node != "" && node.Authenticates != "" {
		c.User = m.client
		c.Password = func() string { return m.password() }
	}
	b, err := m.fleet.clients.Broker(node.Protocol, c)
	if err != nil {
		return fmt.Errorf("make client of %q: %w", broker, err)
	}
	m.mu.Lock()
	m.closes = append(m.closes, b.Close)
	m.mu.Unlock()
	m.actor.Brokers[broker] = b
	if err := b.Connect(ctx); err != nil {
		return fmt.Errorf("connect %q to %q: %w", m.id, broker, err)
	}
	if err := b.Declare(ctx, m.fleet.program.Channels[broker]); err != nil {
		return fmt.Errorf("declare channels on %q: %w", broker, err)
	}
	return nil
}

// subscribe begins to take what is for the member: from a broker, or from its mailbox.
func (m *member) subscribe(h *program.Handler) error {
	if h.Subscribe == "" {
		return fmt.Errorf("handler %q is no subscription", h.Name)
	}
	b, ok := m.actor.Brokers[topology.ChannelNode(h.Source)]
	if !ok {
		return m.poll(h)
	}
	return b.Subscribe(m.fleet.life, conn.Subscription{
		Channel: fill(topology.ChannelName(h.Source), m.id),
		Group:   m.client,
		QoS:     topology.DefaultQoS,
		Handle:  func(d conn.Delivery) { m.arrived(h, d) },
	})
}

func (m *member) arrived(h *program.Handler, d conn.Delivery) {
	if d.Err != nil {
		m.actor.Refuse(m.fleet.life, h, d)
		return
	}
	it := &program.Item{Delivery: d, Message: d.Message}
	m.inbox.push(arrival{h, it}, 0, &m.fleet.work, m.handle)
}

func (m *member) handle(a arrival) {
	m.actor.Handle(m.fleet.life, a.handler, []*program.Item{a.item})
}

// changed notes that a connection came up or went away.
func (m *member) changed(state string, w topology.Wire) {
	switch state {
	case "connect":
		m.token.good()
		if m.up.Add(1) == 1 {
			m.fleet.connected.Add(1)
		}
	case "disconnect":
		if m.up.Add(-1) == 0 {
			m.fleet.connected.Add(-1)
		}
	}
	m.record(state, w.String())
}

func (m *member) record(state, wire string) {
	if m.fleet.life.Err() != nil {
		return
	}
	e := history.New(history.NodeState, m.fleet.env.Recorder.Now())
	e.Node, e.Replica, e.Wire, e.Reason = m.fleet.node.Name, m.index, wire, state
	m.fleet.env.Recorder.Record(&e)
}

func (m *member) close() error {
	m.mu.Lock()
	closes := m.closes
	m.closes = nil
	m.mu.Unlock()
	var errs []error
	for _, one := range closes {
		errs = append(errs, one())
	}
	m.lines.Sever()
	return errors.Join(errs...)
}
