package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/httpx"
	"github.com/faultline-sim/faultline/simulators/service/program"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
)

// replica is one running copy of a service, from its start to its end; it is not started again.
type replica struct {
	svc    *Service
	slot   *slot
	index  int
	actor  *program.Actor
	held   clients
	server atomic.Pointer[httpx.Server]
	// lanes, and waiting for those that have a retry channel, are written before the replica takes
	// anything.
	lanes   map[*program.Handler]*lanes
	waiting map[*program.Handler]*waiting
	ready   atomic.Bool
	bounds  map[*program.Handler]*semaphore.Weighted // of HTTP handlers that are bounded

	ctx      context.Context // work in hand; ends with the replica
	abandons context.CancelFunc
	intake   context.Context // ends when the replica begins to stop
	stopping <-chan struct{}
	stops    context.CancelFunc
	work     sync.WaitGroup // lanes and ticking handlers
	crashing sync.Once
}

func newReplica(s *Service, slot *slot) *replica {
	r := &replica{
		svc: s, slot: slot, index: slot.index,
		lanes:   map[*program.Handler]*lanes{},
		waiting: map[*program.Handler]*waiting{},
		bounds:  map[*program.Handler]*semaphore.Weighted{},
	}
	r.ctx, r.abandons = context.WithCancel(context.Background())
	r.intake, r.stops = context.WithCancel(r.ctx)
	r.stopping = r.intake.Done()
	r.actor = program.New(program.Config{
		Env: s.env, Program: s.program, Index: int32(slot.index),
		Client: s.client(slot.index), Source: s.node.Name + "/" + strconv.Itoa(slot.index),
		Authority: s.authority, Boxes: s.boxes, Misbehaviors: &s.misbehaviors,
		Applied: &s.applied, Watch: &s.watch, Gate: &slot.gate, Stopping: r.intake,
		Crash: func() { s.crashed(r) },
	})
	return r
}

// start returns when the replica is connected, listening and subscribed.
func (r *replica) start(ctx context.Context) error {
	r.state("up", "")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	if err := r.connect(ctx); err != nil {
		return err
	}
	for _, h := range r.svc.program.Handlers {
		r.prepare(h)
	}
	if err := r.serve(); err != nil {
		return err
	}
	if err := r.actor.SubscribeReplies(r.ctx); err != nil {
		return err
	}
	if err := r.subscribe(ctx); err != nil {
		return err
	}
	if r.ctx.Err() != nil {
		return errors.New("it crashed while it started")
	}
	r.ready.Store(true)
	r.state("ready", "")
	return nil
}

// connect opens all connections at once and makes the channels and tables that are used.
func (r *replica) connect(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, name := range slices.Sorted(maps.Keys(r.svc.program.Channels)) {
		b, err := r.svc.clients.Broker(r.protocol(name), r.config(name))
		if err != nil {
			return fmt.Errorf("make client of %q: %w", name, err)
		}
		r.actor.Brokers[name] = b
		r.held.keep(b)
		all.Go(func() error {
			if err := b.Connect(ctx); err != nil {
				return fmt.Errorf("connect to %q: %w", name, err)
			}
			return wrap("declare channels on", name, b.Declare(ctx, r.svc.program.Channels[name]))
		})
	}
	for _, name := range slices.Sorted(maps.Keys(r.svc.program.Tables)) {
		s, err := r.svc.clients.Store(r.protocol(name), r.config(name))
		if err != nil {
			return fmt.Errorf("make client of %q: %w", name, err)
		}
		r.actor.Stores[name] = s
		r.held.keep(s)
		all.Go(func() error {
			if err := untilAnswered(ctx, s.Connect); err != nil {
				return fmt.Errorf("connect to %q: %w", name, err)
			}
			return wrap("declare tables on", name, s.Declare(ctx, r.svc.program.Tables[name]))
		})
	}
	for _, name := range r.svc.program.Callees {
		w := topology.Wire{From: r.svc.node.Name, To: name}
		client := httpx.NewClient(r.held.lines.Over(r.svc.env.Fabric.Dialer(w, r.index)))
		r.actor.Callees[name] = client
		r.held.keep(client)
	}
	return all.Wait()
}

// knock is how a store that does not answer is asked again: a replica that begins while its store is
// down waits for it, as it does for a broker.
var knock = policy.Backoff{Initial: 50 * time.Millisecond, Factor: 2, Max: time.Second}

// untilAnswered connects, for as long as it is given.
func untilAnswered(ctx context.Context, connect func(context.Context) error) error {
	for n := 1; ; n++ {
		err := connect(ctx)
		if err == nil {
			return nil
		}
		pause, _ := knock.Pause(n)
		if simulators.Wait(ctx, pause) != nil {
			return err
		}
	}
}

func wrap(verb, name string, err error) error {
	if err != nil {
		return fmt.Errorf("%s %q: %w", verb, name, err)
	}
	return nil
}

func (r *replica) protocol(node string) string {
	if n := r.svc.env.Topology.Node(node); n != nil {
		return n.Protocol
	}
	return ""
}

// config is what a client of a broker or store is made from. A service has credentials of its own:
// it needs no login to be let in.
func (r *replica) config(far string) conn.Config {
	w := topology.Wire{From: r.svc.node.Name, To: far}
	c := conn.Config{
		Dialer:  r.held.lines.Over(r.svc.env.Fabric.Dialer(w, r.index)),
		Client:  r.svc.client(r.index),
		Session: r.svc.node.Session,
		Rand:    r.svc.env.Rand("client", r.svc.client(r.index), far),
		Recall:  r.svc.env.Recall,
		OnState: func(state string) { r.state(state, w.String()) },
	}
	if n := r.svc.env.Topology.Node(far); n != nil && n.Authenticates != "" {
		c.User = c.Client
		c.Password = func() string {
			token, err := r.svc.authority.Issue(n.Authenticates, c.User)
			if err != nil {
				return "" // refused by the broker, which says so
			}
			return token
		}
	}
	return c
}

// state records a change of the replica or of one of its connections.
func (r *replica) state(reason, wire string) {
	if r.ctx.Err() != nil && reason != "crash" && reason != "down" {
		return
	}
	e := history.New(history.NodeState, r.svc.env.Recorder.Now())
	e.Node, e.Replica, e.Wire, e.Reason = r.svc.node.Name, int32(r.index), wire, reason
	r.svc.env.Recorder.Record(&e)
}

// prepare starts what a handler needs before it is given anything.
func (r *replica) prepare(h *program.Handler) {
	switch {
	case h.Every > 0:
		r.work.Go(func() { r.tick(h) })
	case h.Source != "", h.Ack == "before_work":
		l := newLanes(h, laneDepth(h))
		r.lanes[h] = l
		r.startLanes(h, l)
		if h.RetryChannel() != "" {
			w := newWaiting()
			r.waiting[h] = w
			r.work.Go(func() { r.release(w, l) })
		}
	case h.Concurrency > 1: // 1 is the default, and requests come as many at once as callers send
		r.bounds[h] = semaphore.NewWeighted(int64(h.Concurrency))
	}
}

// subscribe begins to take deliveries.
func (r *replica) subscribe(ctx context.Context) error {
	var all errgroup.Group
	for i, h := range r.svc.program.Handlers {
		l := r.lanes[h]
		if l == nil || h.Source == "" {
			continue
		}
		all.Go(func() error {
			r.svc.env.Stagger(ctx, i)
			return wrap("subscribe to", h.Source, r.take(h, h.Source, prefetch(h),
				func(d conn.Delivery) { r.accept(h, l, d) }))
		})
		if w := r.waiting[h]; w != nil {
			all.Go(func() error {
				r.svc.env.Stagger(ctx, i)
				return wrap("subscribe to", h.RetryChannel(), r.take(h, h.RetryChannel(), mostWaiting,
					func(d conn.Delivery) { r.acceptAgain(h, w, d) }))
			})
		}
	}
	done := make(chan error, 1)
	go func() { done <- all.Wait() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		r.abandons()
		return errors.Join(ctx.Err(), <-done)
	}
}

func (r *replica) take(
	h *program.Handler, ref string, prefetch int, handle func(conn.Delivery),
) error {
	return r.actor.Brokers[topology.ChannelNode(ref)].Subscribe(r.ctx, conn.Subscription{
		Channel:  topology.ChannelName(ref),
		Group:    h.ConsumerGroup(r.svc.node),
		QoS:      topology.DefaultQoS,
		Prefetch: prefetch,
		Handle:   handle,
	})
}

// accept queues a delivery. What is no envelope cannot be handled by anyone: it is refused and
// acknowledged.
func (r *replica) accept(h *program.Handler, l *lanes, d conn.Delivery) {
	if d.Err != nil {
		r.actor.Refuse(r.ctx, h, d)
		return
	}
	it := &program.Item{Delivery: d, Message: d.Message}
	select {
	case l.queues[l.lane(it)] <- it:
	case <-r.stopping:
	}
}

// prefetch is how many deliveries are unsettled at once: enough to keep every lane busy, few
// enough that a crash gives back little.
func prefetch(h *program.Handler) int {
	per := 16
	if h.Batch != nil {
		per = 2 * h.Batch.Size
	}
	return max(64, per*h.Concurrency)
}

// inboxDepth is how many requests a handler that answers before its work keeps in memory a lane.
const inboxDepth = 10_000

func laneDepth(h *program.Handler) int {
	if h.Source == "" {
		return inboxDepth
	}
	return prefetch(h)
}

// stop lets the work in hand finish, within ctx. What is queued stays unsettled, so its broker
// gives it to another.
func (r *replica) stop(ctx context.Context) error {
	r.stops()
	finished := make(chan struct{})
	var late error
	go func() {
		defer close(finished)
		if server := r.server.Load(); server != nil {
			late = server.Shutdown(ctx)
		}
		r.work.Wait()
	}()
	select {
	case <-finished:
	case <-ctx.Done():
		r.abandons()
		<-finished
		late = errors.Join(late, ctx.Err())
	}
	r.state("down", "")
	r.abandons()
	return errors.Join(late, r.held.close())
}

// crash drops everything at once. It does not wait, so a handler may call it.
func (r *replica) crash() {
	r.crashing.Do(func() {
		r.actor.Gone(simulators.ReasonCrash)
		r.state("crash", "")
		r.abandon()
	})
}

// abandon drops connections, then work in hand: nobody hears of what that still says.
func (r *replica) abandon() {
	r.actor.Gone(simulators.ReasonStopped)
	if server := r.server.Load(); server != nil {
		server.Kill()
	}
	r.held.crash()
	r.abandons()
}

// bury waits for what a crash left and clears it up.
func (r *replica) bury() {
	if server := r.server.Load(); server != nil {
		server.Close()
	}
	r.work.Wait()
	r.held.close() // on severed connections; what they say is of no interest
}

// busy is how many messages are queued or being handled.
func (r *replica) busy() int64 {
	n := r.actor.InHand()
	if !r.ready.Load() {
		return n
	}
	for _, l := range r.lanes {
		n += l.aside.Load()
		for _, queue := range l.queues {
			n += int64(len(queue))
		}
	}
	for _, w := range r.waiting {
		n += w.count.Load()
	}
	return n
}
