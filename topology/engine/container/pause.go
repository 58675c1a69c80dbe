package container

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// Pause freezes the processes: connections stay open, new ones are taken by the kernel, nothing is
// answered. A container that was ended meanwhile has nothing to resume.
func (e *Engine) Pause(ctx context.Context) (func(context.Context) error, error) {
	if !e.running {
		return nil, fmt.Errorf("pause %s: it is stopped", e.info.Name)
	}
	err := e.each(func(m *member, c *made) error {
		if _, err := c.api.ContainerPause(ctx, c.id, client.ContainerPauseOptions{}); err != nil {
			return fmt.Errorf("pause container %q: %w", m.name, err)
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, e.resume(context.WithoutCancel(ctx)))
	}
	return e.resume, nil
}

func (e *Engine) resume(ctx context.Context) error {
	return e.each(func(m *member, c *made) error {
		_, err := c.api.ContainerUnpause(ctx, c.id, client.ContainerUnpauseOptions{})
		if err != nil && !errdefs.IsConflict(err) && !notPaused(ctx, c) {
			return fmt.Errorf("resume container %q: %w", m.name, err)
		}
		return nil
	})
}

func notPaused(ctx context.Context, c *made) bool {
	s, err := c.state(ctx)
	return err == nil && !s.Paused
}
