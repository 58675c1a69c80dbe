// Package fault applies the timeline's faults to a running stack, counts what they bite, and heals
// them. There is one small file for each way of breaking something.
//
// It acts in the run step of load → plan → run → check → report, and asks wires, engines and
// simulators only for the capabilities they declare. A fault that cannot be done is an error, not
// a fault that does nothing. It may not import checkers or reports.
package fault

import (
	"context"
	"fmt"
	"slices"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/record"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/wire"
)

// Stage is the running system as faults see it.
type Stage interface {
	Fabric() wire.Fabric
	Topology() *topology.Topology          // as built
	Simulator(node string) simulators.Node // nil for brokers and stores
	Engine(node string) engine.Engine      // nil for simulated nodes
	// Broker is a connected client of a broker, over a path that no fault touches. It is the
	// stage's own.
	Broker(ctx context.Context, node string) (conn.Broker, error)
	Count(func(*history.Event) bool) *record.Counter
	Now() int64 // ns since the run began
	// Turn does something with a node's engine when nobody else does; its error is that of ctx, or
	// of what is done.
	Turn(ctx context.Context, node string, do func() error) error
}

// Injection is a fault in force.
type Injection interface {
	// Bite is how many flow messages (for connection faults: connections) it touched so far.
	Bite() int64
	// Heal ends the fault and returns when what was broken works again. It may be called twice.
	// Operations that began before it are still counted when they end after it.
	Heal(ctx context.Context) error
	// Close ends the counting.
	Close()
}

// Inject puts an act's fault in force. Kinds that happen at once have happened when it returns.
func Inject(ctx context.Context, s Stage, a scenarios.Act) (Injection, error) {
	kind, ok := scenarios.KindOf(a.Fault.Kind)
	if !ok {
		return nil, fmt.Errorf("inject %q: no fault of kind %q", a.Name, a.Fault.Kind)
	}
	i, err := inject(ctx, s, a, kind)
	if err != nil {
		return nil, fmt.Errorf("inject %q (%s): %w", a.Name, a.Fault, err)
	}
	return i, nil
}

func inject(ctx context.Context, s Stage, a scenarios.Act, kind scenarios.Kind) (Injection, error) {
	f := a.Fault
	switch {
	case len(f.Wires) > 0:
		return onWires(ctx, s, a)
	case f.Kind == "burst":
		return burst(s, f), nil
	case f.Kind == "reconnect_herd":
		return each(f.Nodes, func(node string) (Injection, error) { return herd(s, node, f) })
	case f.Kind == "leader_move":
		return each(f.Nodes, func(node string) (Injection, error) { return moveLeaders(ctx, s, node) })
	case f.Kind == "rebalance":
		return each(f.Nodes, func(node string) (Injection, error) { return rebalance(ctx, s, node) })
	case f.Kind == "shard_split":
		return each(f.Nodes, func(node string) (Injection, error) { return splitShards(ctx, s, node) })
	case f.Kind == "disconnect_all":
		return each(f.Nodes, func(node string) (Injection, error) { return disconnect(ctx, s, node) })
	}
	if _, ok := behaviors[f.Kind]; ok {
		return each(f.Nodes, func(node string) (Injection, error) { return behave(s, node, a) })
	}
	return each(f.Nodes, func(node string) (Injection, error) { return onNode(ctx, s, node, f) })
}

// each injects at every target; when one fails the earlier ones are healed.
func each(nodes []string, one func(string) (Injection, error)) (Injection, error) {
	var all several
	for _, node := range nodes {
		i, err := one(node)
		if err != nil {
			if heal := all.Heal(context.Background()); heal != nil {
				err = fmt.Errorf("%w (and healing what was injected before: %w)", err, heal)
			}
			return nil, err
		}
		all = append(all, i)
	}
	return all, nil
}

// several is one fault on several targets.
type several []Injection

func (s several) Bite() (sum int64) {
	for _, i := range s {
		sum += i.Bite()
	}
	return sum
}

func (s several) Heal(ctx context.Context) (first error) {
	for _, i := range slices.Backward(s) {
		if err := i.Heal(ctx); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (s several) Close() {
	for _, i := range s {
		i.Close()
	}
}
