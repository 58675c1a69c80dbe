package fault

import (
	"context"
	"sync"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
)

// onWire is one toxic on one wire. What happens to the bytes, in which direction and unit, is
// told at wire.Kind. It bites when flow messages are seen in the bytes it touches, or when
// operations over the wire fail meanwhile (a refused connection carries no bytes). It heals by
// taking the toxic away.
type onWire struct {
	wire.Injection
	failed *tally
	heal   sync.Once
	err    error
}

func onWires(ctx context.Context, s Stage, a scenarios.Act) (Injection, error) {
	var all several
	for _, w := range a.Fault.Wires {
		i, err := s.Fabric().Inject(ctx, wireFault(a, w))
		if err != nil {
			_ = all.Heal(ctx) // the injection's error is the one to tell; Close heals what is left
			return nil, err
		}
		all = append(all, &onWire{Injection: i, failed: count(s, failedOn(w.String()))})
	}
	return all, nil
}

func wireFault(a scenarios.Act, w topology.Wire) wire.Fault {
	f := a.Fault
	return wire.Fault{
		Name:           a.Name,
		Wire:           w,
		Replica:        f.Replica,
		Kind:           wire.Kind(f.Kind),
		Direction:      f.Direction,
		Latency:        f.Latency,
		BytesPerSecond: int64(f.Rate),
		Bytes:          f.Bytes,
	}
}

// failedOn matches operations of flow messages over a wire that did not end well.
func failedOn(name string) match {
	return func(e *history.Event, after bool) bool {
		notWell := e.Outcome == history.Fail || e.Outcome == history.Unknown
		return !after && notWell && e.Wire == name && e.Flow != ""
	}
}

func (o *onWire) Bite() int64 { return max(o.Touched(), o.failed.Bite()) }

func (o *onWire) Heal(ctx context.Context) error {
	o.heal.Do(func() {
		o.err = o.Injection.Heal(ctx)
		o.failed.healed()
	})
	return o.err
}

func (o *onWire) Close() { o.failed.Close() }
