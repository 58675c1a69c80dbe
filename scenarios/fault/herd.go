package fault

import (
	"context"
	"fmt"
	"time"

	"github.com/faultline-sim/faultline/simulators"
)

// stampede is a share of a fleet whose connections were dropped at once. Its bite is the number of
// connections dropped. It is over when as many members are connected as before.
type stampede struct {
	crowd   simulators.Crowd
	dropped int
	before  int
}

func herd(s Stage, node string, share float64) (Injection, error) {
	crowd, ok := s.Simulator(node).(simulators.Crowd)
	if !ok {
		return nil, fmt.Errorf("node %q is not a fleet", node)
	}
	before, _ := crowd.Connected()
	return &stampede{crowd: crowd, before: before, dropped: crowd.Disconnect(share)}, nil
}

func (h *stampede) Bite() int64 { return int64(h.dropped) }

func (h *stampede) Heal(ctx context.Context) error {
	return until(ctx, func() (bool, string) {
		now, _ := h.crowd.Connected()
		return now >= h.before, fmt.Sprintf("%d of %d members are connected again", now, h.before)
	})
}

func (*stampede) Close() {}

// until polls a condition; past the context's end its error says how far it had come.
func until(ctx context.Context, reached func() (bool, string)) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, progress := reached()
		if ok {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", progress, ctx.Err())
		}
	}
}
