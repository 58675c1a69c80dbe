package program

import (
	"context"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
)

// run is one attempt of a handler: its steps over the items of one delivery or batch.
type run struct {
	a       *Actor
	h       *Handler
	attempt int32
}

// action does a step for one item; the error is explained by simulators.Explain.
type action func(ctx context.Context, x *run, s *step, it *Item) error

// actions are the kinds of steps that the simulated nodes know.
var actions = map[topology.StepKind]action{
	topology.Work:         work,
	topology.Validate:     validate,
	topology.When:         when,
	topology.Authenticate: authenticate,
	topology.Issue:        issue,
	topology.Call:         call,
	topology.Request:      request,
	topology.Publish:      publish,
	topology.StoreStep:    store,
	topology.Lookup:       lookup,
	topology.Reply:        reply,
}

// do runs all steps over all items. Items fail one by one; a store step takes those that are left
// of a batch together.
func (x *run) do(ctx context.Context, items []*Item) {
	for _, it := range items {
		x.begin(ctx, it)
	}
	for _, s := range x.h.steps {
		x.step(ctx, s, items)
	}
	for _, it := range items {
		if it.failure == nil && !it.duplicate {
			x.failed(it, x.a.remember(ctx, x.h, it))
		}
	}
}

// begin is what stands before the first step: what was done before, and what the node was told to
// do wrongly.
func (x *run) begin(ctx context.Context, it *Item) {
	it.ended, it.answer = false, answer{}
	known, err := x.a.known(ctx, x.h, it)
	if err == nil && !known {
		err = x.a.misbehave(ctx, x.h, it)
	}
	it.duplicate, it.ended = known, known
	x.failed(it, err)
}

func (x *run) step(ctx context.Context, s *step, items []*Item) {
	if s.Kind == topology.StoreStep && len(items) > 1 {
		x.storeBatch(ctx, s, items)
		return
	}
	for _, it := range items {
		if x.concerns(s, it) {
			x.failed(it, x.stepOf(ctx, s, it))
		}
	}
}

// concerns says that the step is still to be done for the item.
func (x *run) concerns(s *step, it *Item) bool {
	return it.failure == nil && !it.ended && (len(s.Flows) == 0 || s.For(it.Message.Flow))
}

func (x *run) stepOf(ctx context.Context, s *step, it *Item) error {
	if err := x.a.Gate.Pass(ctx); err != nil {
		return err
	}
	return s.act(ctx, x, s, it)
}

// failed notes an item's failure, if it is one.
func (x *run) failed(it *Item, err error) {
	if err == nil {
		return
	}
	it.fail(simulators.Explain(err), time.Now())
}

func (x *run) failAll(items []*Item, err error) {
	for _, it := range items {
		x.failed(it, err)
	}
}

// try is one step's way of trying once, and the row that says how it went.
type try struct {
	kind    history.Kind
	channel string
	once    func(ctx context.Context) error
}

// tries does a step under its policies until it works, its tries are used up or its failure is
// permanent. Every try is a row for each item that it was for.
func (x *run) tries(ctx context.Context, s *step, items []*Item, t try) error {
	g := x.a.guards[s.guard]
	retry := s.Policy.Retry
	for n := 1; ; n++ {
		f := simulators.Explain(x.tryOnce(ctx, s, items, t, n))
		if f == nil {
			return nil
		}
		if f.Final(g.permanent) {
			f.Permanent = true
			return f
		}
		if ctx.Err() != nil || retry == nil || n >= retry.Attempts {
			return f
		}
		if err := simulators.Wait(ctx, x.a.spread(items[0], x.h.Name+" "+s.Name, retry.Backoff, n)); err != nil {
			return f
		}
	}
}

func (x *run) tryOnce(ctx context.Context, s *step, items []*Item, t try, n int) error {
	g := x.a.guards[s.guard]
	begin, err := g.enter(ctx, x.a.now)
	if err != nil && ctx.Err() != nil {
		return simulators.Explain(err) // given up while it waited for leave: never tried, so no row
	}
	if err == nil {
		limited, cancel := g.limit(ctx)
		err = t.once(limited)
		cancel()
		g.leave(err)
	}
	f := simulators.Explain(err)
	for _, it := range items {
		e := x.a.event(t.kind, x.h, it)
		e.Step, e.Wire, e.Channel, e.Attempt = s.Name, s.wire, t.channel, int32(n)
		x.a.end(&e, begin, f)
		x.a.record(&e)
	}
	if f == nil {
		return nil
	}
	return f
}

// one is tries for a single item.
func (x *run) one(ctx context.Context, s *step, it *Item, t try) error {
	return x.tries(ctx, s, []*Item{it}, t)
}

// outgoing is the message that a step sends on: the item's own under the step's span, or the one
// that is born of it here.
func (x *run) outgoing(s *step, it *Item) (*message.Message, error) {
	if s.Derive != "" {
		return x.derive(s, it)
	}
	m := *it.Message
	m.Span = s.spanOf(it)
	return &m, nil
}

// spanOf is the span id of the step for a message: the same for each try, never zero.
func (s *step) spanOf(it *Item) (span [8]byte) {
	h := (s.span ^ uint64(it.Message.Number+1)) * 0x9e3779b97f4a7c15
	h |= 1
	for i := range span {
		span[i] = byte(h >> (8 * i))
	}
	return span
}

// derive is the new message that is born of an item at a step.
func (x *run) derive(s *step, it *Item) (*message.Message, error) {
	subject, key := it.Message.Subject, it.Message.Key
	if s.subject != nil || s.key != nil {
		env, err := it.env(x.a.Program)
		if err != nil {
			return nil, err
		}
		if subject, err = textOr(subject, s.subject, env); err != nil {
			return nil, err
		}
		if key, err = textOr(key, s.key, env); err != nil {
			return nil, err
		}
	}
	env := x.a.Env
	birth := simulators.Birth{
		Flow: s.Derive, By: s.born, ParentFlow: it.Message.Flow, Parent: it.Message.Number,
	}
	if !it.InFlow() {
		birth.Parent = env.Next("ticks of", s.born)
	}
	number, keySeq, fresh := env.Born(birth, key)
	m := &message.Message{
		Flow: s.Derive, Number: number, Source: x.a.Source, Subject: subject, Time: time.Now(),
		Trace: env.Trace(s.Derive, number), Span: s.spanOf(it), Key: key, KeySeq: keySeq,
		ParentFlow: it.Message.Flow, ParentNumber: it.Message.Number,
		Token: it.Message.Token, Data: it.Message.Data,
	}
	if fresh {
		env.Remember(m)
		x.recordBirth(s, it, m)
	}
	return m, nil
}

// recordBirth says that a message was born. It is said even by a replica that crashes just now,
// because the number is given.
func (x *run) recordBirth(s *step, it *Item, m *message.Message) {
	e := x.a.event(history.Derive, x.h, &Item{Message: m})
	e.Step, e.Parent, e.ParentFlow = s.Name, it.Message.Number, it.Message.Flow
	x.a.Env.Recorder.Record(&e)
}

func textOr(otherwise string, x *topology.Expression, env topology.MessageEnv) (string, error) {
	if x == nil {
		return otherwise, nil
	}
	text, err := x.Text(env)
	if err != nil {
		return "", simulators.Refusal(simulators.ReasonExpression, err)
	}
	return text, nil
}
