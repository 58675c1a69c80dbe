package fault

import (
	"context"
	"fmt"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/features"
)

// onEngine breaks the process behind a broker or store. What ends it bites from the first moment;
// of what leaves it alive nothing counts that ended before it was in force.
func onEngine(ctx context.Context, s Stage, node string, f *scenarios.Fault) (Injection, error) {
	e, d := s.Engine(node), &down{}
	if !livesOn(f.Kind) {
		d.tally = count(s, touching(s, node, whole))
	}
	var undo restore
	err := s.Turn(ctx, node, func() (err error) {
		undo, err = breakEngine(ctx, e, f)
		return err
	})
	if err != nil {
		if d.tally != nil {
			d.Close()
		}
		return nil, err
	}
	if d.tally == nil {
		d.tally = count(s, held(s, node))
	}
	if undo != nil {
		d.restore = func(ctx context.Context) error {
			return s.Turn(ctx, node, func() error { return undo(ctx) })
		}
	}
	return d, nil
}

// livesOn says whether a kind leaves an engine, or most of its members, running: it answers late or
// not at all, and operations on its wires are held up without having to fail. A full disk is not
// among these: who writes nothing does not feel it.
func livesOn(kind string) bool {
	switch kind {
	case "pause", "cpu", "memory", "cut", "leader_loss", "memory_alarm", "throttle",
		"not_enough_replicas":
		return true
	}
	return false
}

// held matches what the trouble of an engine that lives on does to flow messages: what its absence
// would do, and every operation on its wires that goes on until the heal.
func held(s Stage, node string) match {
	absent, onWires := touching(s, node, whole), over(s, node)
	return func(e *history.Event, after bool) bool {
		return absent(e, after) || !after && onWires(e, after)
	}
}

// breakEngine does to an engine what a fault says, and gives what undoes it.
func breakEngine(ctx context.Context, e engine.Engine, f *scenarios.Fault) (restore, error) {
	switch f.Kind {
	case "stop":
		return e.Start, e.Stop(ctx)
	case "kill":
		return e.Start, e.Kill(ctx)
	case "restart":
		if err := e.Stop(ctx); err != nil {
			return nil, err
		}
		return nil, e.Start(ctx)
	case "pause":
		return ask(e, features.Pause, func(p engine.Pauser) (restore, error) {
			return p.Pause(ctx)
		})
	case "cpu":
		return ask(e, features.LimitCPU, func(l engine.Limiter) (restore, error) {
			return l.Limit(ctx, f.Cores, 0)
		})
	case "memory":
		return ask(e, features.LimitMemory, func(l engine.Limiter) (restore, error) {
			return l.Limit(ctx, 0, f.Size)
		})
	case "disk_full":
		return ask(e, features.FillDisk, func(d engine.DiskFiller) (restore, error) {
			return d.FillDisk(ctx)
		})
	case "cut":
		return ask(e, features.CutOff, func(c engine.Cutter) (restore, error) {
			return c.CutOff(ctx)
		})
	case "not_enough_replicas":
		return ask(e, features.RefuseWrites, func(r engine.WriteRefuser) (restore, error) {
			return r.RefuseWrites(ctx)
		})
	case "memory_alarm":
		return ask(e, features.RaiseAlarm, func(m engine.MemoryAlarmer) (restore, error) {
			return m.MemoryAlarm(ctx)
		})
	case "throttle":
		return ask(e, features.Throttle, func(t engine.Throttler) (restore, error) {
			return t.Throttle(ctx, f.Rate)
		})
	case "leader_loss":
		return ask(e, features.LoseLeader, func(l engine.LeaderLoser) (restore, error) {
			return l.LoseLeader(ctx)
		})
	}
	return nil, fmt.Errorf("%s cannot be done to a %s", f.Kind, e.Info().Name)
}

// ask does something with an ability that an engine declares, and has.
func ask[T any](
	e engine.Engine, a features.Ability, do func(T) (restore, error),
) (restore, error) {
	able, ok := e.(T)
	if !ok || !e.Info().Able(a) {
		return nil, fmt.Errorf("the engine, %s, cannot %s", e.Info().Name, a)
	}
	return do(able)
}
