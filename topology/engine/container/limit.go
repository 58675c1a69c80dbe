package container

import (
	"context"
	"errors"
	"fmt"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// period is the window that processor time is counted out in, in µs.
const period = 100_000

// Limit narrows each member. A process that needs more memory than it may have is ended by the
// kernel; lifting starts it again. Lifted, a member may use what the machine has: the daemon knows
// no way back to no limit at all.
func (e *Engine) Limit(ctx context.Context, cores float64, memory int64) (
	func(context.Context) error, error,
) {
	if !e.running {
		return nil, fmt.Errorf("limit %s: it is stopped", e.info.Name)
	}
	machine, err := e.daemon.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return nil, fmt.Errorf("limit %s: %w", e.info.Name, err)
	}
	var r, free container.Resources
	if cores > 0 {
		r.CPUPeriod, r.CPUQuota = period, max(1000, int64(cores*period))
		free.CPUPeriod, free.CPUQuota = period, int64(machine.Info.NCPU)*period
	}
	if memory > 0 {
		r.Memory, r.MemorySwap = memory, memory
		free.Memory, free.MemorySwap = machine.Info.MemTotal, 2*machine.Info.MemTotal
	}
	lift := func(ctx context.Context) error { return e.lift(ctx, free) }
	if err := e.update(ctx, r); err != nil {
		return nil, errors.Join(err, e.update(context.WithoutCancel(ctx), free))
	}
	return lift, nil
}

func (e *Engine) lift(ctx context.Context, free container.Resources) error {
	if err := e.update(ctx, free); err != nil {
		return err
	}
	return e.revive(ctx)
}

func (e *Engine) update(ctx context.Context, r container.Resources) error {
	return e.each(func(m *member, c *made) error {
		_, err := c.api.ContainerUpdate(ctx, c.id, client.ContainerUpdateOptions{Resources: &r})
		if err != nil {
			return fmt.Errorf("limit container %q: %w", m.name, oneLine(err))
		}
		return nil
	})
}

// revive starts those members again that ended by themselves while the engine was to run, and
// returns when they answer.
func (e *Engine) revive(ctx context.Context) error {
	if !e.running {
		return nil
	}
	return e.each(func(m *member, c *made) error {
		s, err := c.state(ctx)
		if err != nil || s.Running {
			return err
		}
		return e.launch(ctx, m)
	})
}
