package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/scenarios/fault"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/topology/stack"
)

const (
	// healWithin bounds one heal, which may be the start of a product in a container; past it the
	// run has failed, and Close takes the rest down.
	healWithin = stack.ContainerReadyWithin
	// watchAfter is how long a fault's bite is still counted after its heal, for operations that
	// began before it.
	watchAfter = 2 * time.Second
	// biteEvery is how often a fault in force tells its bite.
	biteEvery = 500 * time.Millisecond
	// behind is how long after its planned time an act begins and ends. In virtual time much happens at
	// round times, such as the sending of messages, and of two things at one time either may be first.
	behind = 503 * time.Nanosecond
)

// timeline marks the phases that the plan's clock decides and does every act at its time, each in a
// goroutine of its own, after the mark of the phase it belongs to. It returns when all are over and
// healed.
func (r *run) timeline(ctx context.Context) error {
	if err := r.enter(ctx, scenarios.PhaseTimeline); err != nil {
		return err
	}
	c := newCrew(ctx)
	c.start("phase recover", func(ctx context.Context) error { return r.enter(ctx, scenarios.PhaseRecover) })
	for _, a := range r.plan.Acts {
		c.start("act "+a.Name, func(ctx context.Context) error {
			if err := r.waitUntil(ctx, r.origin+int64(a.At+behind)); err != nil {
				return err
			}
			return r.act(ctx, a)
		})
	}
	return c.wait()
}

// enter waits for a phase's planned beginning and marks it.
func (r *run) enter(ctx context.Context, phase string) error {
	if err := r.waitUntil(ctx, r.origin+int64(r.plan.Phase(phase).From)); err != nil {
		return err
	}
	r.phase(phase)
	return nil
}

func (r *run) act(ctx context.Context, a scenarios.Act) error {
	switch {
	case a.Fault != nil:
		return r.fault(ctx, a)
	case a.Redrive != "":
		return r.redrive(ctx, a)
	}
	return r.scale(ctx, a)
}

// fault injects, watches and heals. The heal happens also when the run is being stopped.
func (r *run) fault(ctx context.Context, a scenarios.Act) error {
	if came, err := r.await(ctx, a); err != nil || !came {
		return err
	}
	r.faultEvent(a, "inject", 0)
	r.say("inject %s: %s", a.Name, a.Fault)
	r.inForce.Add(1)
	i, err := fault.Inject(ctx, r, a)
	if err != nil {
		r.inForce.Add(-1)
		return err
	}
	defer i.Close()
	watching := r.watch(ctx, a, i)
	healing, cancel := context.WithTimeout(context.WithoutCancel(ctx), healWithin)
	defer cancel()
	err = i.Heal(healing)
	r.inForce.Add(-1)
	if err != nil {
		return fmt.Errorf("heal %q: %w", a.Name, err)
	}
	r.faultEvent(a, "heal", 0)
	r.say("heal %s, it touched %d so far", a.Name, i.Bite())
	if watching == nil {
		watching = r.waitUntil(ctx, r.recorder.Now()+int64(watchAfter))
	}
	r.faultEvent(a, "bite", i.Bite())
	return watching
}

// await waits for the state that a fault asks for, until its planned end. Where that never came the
// fault is told as one that touched nothing.
func (r *run) await(ctx context.Context, a scenarios.Act) (came bool, err error) {
	if a.When == nil {
		return true, nil
	}
	worker, ok := r.Simulator(a.When.InHand).(simulators.Worker)
	if !ok {
		return false, fmt.Errorf("inject %q: nobody knows what %q has in hand", a.Name, a.When.InHand)
	}
	left := time.Duration(r.origin + int64(a.End()) - r.recorder.Now())
	waiting, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	err = worker.AwaitInHand(waiting, a.When.Replica, a.When.AtLeast)
	if err == nil || ctx.Err() != nil {
		return err == nil, err
	}
	r.say("%s waited in vain: %s never had %d in hand", a.Name, a.When.InHand, a.When.AtLeast)
	for _, reason := range []string{"inject", "heal", "bite"} {
		r.faultEvent(a, reason, 0)
	}
	return false, nil
}

// watch tells the bite of a fault while it lasts; its error says that the run is being stopped.
func (r *run) watch(ctx context.Context, a scenarios.Act, i fault.Injection) error {
	end := r.origin + int64(a.End()+behind)
	for now := r.recorder.Now(); now < end; now = r.recorder.Now() {
		if err := r.waitUntil(ctx, min(end, now+int64(biteEvery))); err != nil {
			return err
		}
		r.faultEvent(a, "bite", i.Bite())
	}
	return nil
}

// faultEvent records one moment of a fault, a row for each of its targets.
func (r *run) faultEvent(a scenarios.Act, reason string, bite int64) {
	e := history.New(history.Fault, r.recorder.Now())
	e.Step, e.Reason, e.Value, e.Handler = a.Name, reason, bite, a.Fault.Kind
	e.Flow = a.Fault.Flow
	for _, w := range a.Fault.Wires {
		e.Wire = w.String()
		r.recorder.Record(&e)
	}
	e.Wire = ""
	for _, n := range a.Fault.Nodes {
		e.Node = n
		r.recorder.Record(&e)
	}
	if len(a.Fault.Wires)+len(a.Fault.Nodes) == 0 {
		r.recorder.Record(&e)
	}
}

// scale starts or stops replicas.
func (r *run) scale(ctx context.Context, a scenarios.Act) error {
	for _, s := range a.Scale {
		node, ok := r.Simulator(s.Node).(simulators.Replicated)
		if !ok {
			return fmt.Errorf("scale %q: it has no replicas", s.Node)
		}
		r.action(a.Name, s.Node, fmt.Sprintf("scale to %d", s.Replicas))
		if err := node.Scale(ctx, s.Replicas); err != nil {
			return fmt.Errorf("scale %q to %d: %w", s.Node, s.Replicas, err)
		}
	}
	return nil
}

// action records an act that is not a fault.
func (r *run) action(name, node, what string) {
	e := history.New(history.Action, r.recorder.Now())
	e.Step, e.Node, e.Reason = name, node, what
	r.recorder.Record(&e)
	r.say("%s: %s %s", name, what, node)
}
