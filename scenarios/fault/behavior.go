package fault

import (
	"context"
	"fmt"

	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/simulators"
)

// behaviors are the kinds that a simulator carries out itself, by the scenario's word for them.
var behaviors = map[string]simulators.BehaviorKind{
	"errors":           simulators.Errors,
	"slow":             simulators.Slow,
	"poison":           simulators.Poison,
	"crash_on_message": simulators.CrashOn,
	"quota":            simulators.Quota,
	"outage":           simulators.Outage,
	"duplicates":       simulators.Duplicates,
}

// misbehaving is a node that answers wrongly, late or not at all. The node itself counts the
// messages it did that to; healing makes it behave as built.
type misbehaving struct{ simulators.Injection }

func behave(s Stage, node string, a scenarios.Act) (Injection, error) {
	n := s.Simulator(node)
	if n == nil {
		return nil, fmt.Errorf("node %q is not simulated", node)
	}
	i, err := n.Inject(simulators.Behavior{
		Name:     a.Name,
		Kind:     behaviors[a.Fault.Kind],
		Replicas: only(a.Fault),
		Flow:     a.Fault.Flow,
		Share:    a.Fault.Share,
		Every:    a.Fault.Every,
		Status:   a.Fault.Status,
		Delay:    a.Fault.Latency,
		Rate:     a.Fault.Rate,
	})
	if err != nil {
		return nil, err
	}
	return misbehaving{i}, nil
}

// only is the replica or member that a fault is done to alone, nil for all.
func only(f *scenarios.Fault) []int {
	if f.Replica < 0 {
		return nil
	}
	return []int{f.Replica}
}

func (m misbehaving) Bite() int64 { return m.Touched() }

func (m misbehaving) Heal(context.Context) error {
	m.Injection.Heal()
	return nil
}

func (misbehaving) Close() {}
