package fault

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/simulators"
)

// down is a node that was stopped, killed, paused, restarted or replaced, or whose use of the
// machine was narrowed. It bites the work that was in hand, operations over the node's wires that fail,
// connections to it that drop, logins that fail, and, where no replica is left, messages that arrive for
// it while it is away; of an engine that lives on, and answers late or never, also what goes on over its
// wires meanwhile. It heals by starting what was ended, or by giving back what was taken; it is over when
// the node answers.
type down struct {
	*tally
	inHand  int64 // messages that were being handled when it ended
	restore restore
	heal    sync.Once
	err     error
}

// Bite is what was counted since, and no less than what was in hand: much of that shows again in rows.
func (d *down) Bite() int64 { return max(d.inHand, d.tally.Bite()) }

func (d *down) Heal(ctx context.Context) error {
	d.heal.Do(func() {
		if d.restore != nil {
			d.err = d.restore(ctx)
		}
		d.healed()
	})
	return d.err
}

// restore starts what was ended again, or gives back what was taken, and returns when it is ready.
type restore func(context.Context) error

func onNode(ctx context.Context, s Stage, node string, f *scenarios.Fault) (Injection, error) {
	if s.Engine(node) != nil {
		return onEngine(ctx, s, node, f)
	}
	r, ok := s.Simulator(node).(simulators.Replicated)
	if !ok {
		return nil, fmt.Errorf("node %q has nothing that can be ended", node)
	}
	one := f.Replica
	if r.Replicas() == 1 {
		one = whole
	}
	d := &down{tally: count(s, touching(s, node, one))}
	if worker, ok := r.(simulators.Worker); ok {
		d.inHand = worker.InHand(f.Replica)
	}
	var err error
	if d.restore, err = endReplicas(ctx, r, f); err != nil {
		healing := d.Heal(context.WithoutCancel(ctx))
		d.Close()
		return nil, errors.Join(err, healing)
	}
	return d, nil
}

// endReplicas ends the chosen replicas, and gives what starts them again.
func endReplicas(ctx context.Context, r simulators.Replicated, f *scenarios.Fault) (restore, error) {
	var restores []restore
	all := func(ctx context.Context) error {
		for _, one := range restores {
			if err := one(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range r.Replicas() {
		if f.Replica >= 0 && f.Replica != i {
			continue
		}
		one, err := endReplica(ctx, r, i, f)
		if err != nil {
			return all, err
		}
		if one != nil {
			restores = append(restores, one)
		}
	}
	return all, nil
}

func endReplica(
	ctx context.Context, r simulators.Replicated, i int, f *scenarios.Fault,
) (restore, error) {
	start := func(ctx context.Context) error { return r.StartReplica(ctx, i) }
	switch f.Kind {
	case "cpu", "memory":
		limited, ok := r.(simulators.Limited)
		if !ok {
			return nil, fmt.Errorf("the replicas of %q do not run in containers", r.Name())
		}
		return limited.LimitReplica(ctx, i, f.Cores, f.Size)
	case "stop":
		return start, r.StopReplica(ctx, i)
	case "kill":
		return start, r.CrashReplica(ctx, i)
	case "pause":
		resume, err := r.PauseReplica(i)
		return func(context.Context) error { resume(); return nil }, err
	case "restart", "replace":
		if err := r.StopReplica(ctx, i); err != nil {
			return start, err
		}
		return nil, start(ctx)
	}
	return nil, fmt.Errorf("%s cannot be done to %q", f.Kind, r.Name())
}

// whole stands for every replica of a node.
const whole = -1

// touching matches what a node's absence does to flow messages: operations to it that do not end
// well and connections that drop, whenever that shows; and until the heal messages put in a channel
// that it consumes, and messages begun that enter the system by it, or that come to it from a program of
// one's own, which tells nothing of what it meets. Of one replica of several what arrives meanwhile is
// not among these: others take it.
func touching(s Stage, node string, replica int) match {
	t := s.Topology()
	wires, channels, sources := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, w := range t.Wires() {
		if w.From == node || w.To == node {
			wires[w.String()] = true
		}
	}
	if n := t.Node(node); n != nil {
		for _, h := range n.Handlers {
			if h.Batch != nil {
				channels[h.Batch.Channel] = true
			}
			channels[h.Subscribe] = h.Subscribe != ""
		}
	}
	for _, f := range t.Flows {
		for _, path := range f.Paths {
			if len(path) > 1 && path[1].Node == node {
				sources[f.Name] = true
			}
			for i := 1; i < len(path); i++ {
				if before := path[i-1]; path[i].Node == node && before.Channel == "" {
					_, unseen := s.Simulator(before.Node).(simulators.OwnCode)
					sources[f.Name] = sources[f.Name] || unseen
				}
			}
		}
	}
	return func(e *history.Event, after bool) bool {
		switch {
		case e.Flow == "":
			return wires[e.Wire] && (e.Kind == history.NodeState && e.Reason == "disconnect" ||
				e.Kind == history.Call && e.Outcome != history.Ok) // a login
		case e.Outcome == history.Fail || e.Outcome == history.Unknown:
			return wires[e.Wire] && (replica == whole || e.Node != node || int(e.Replica) == replica)
		case after || replica != whole:
			return false
		case e.Kind == history.Publish:
			return channels[e.Channel]
		}
		return e.Kind == history.Produce && e.Outcome == history.None && sources[e.Flow]
	}
}
