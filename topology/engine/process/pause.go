package process

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Pause freezes the program and its group: connections stay open, new ones are taken by the kernel,
// nothing is answered. A program that was ended meanwhile has nothing to resume.
func (e *Engine) Pause(ctx context.Context) (func(context.Context) error, error) {
	c := e.child.Load()
	if c == nil {
		return nil, fmt.Errorf("pause %s: it is stopped", e.name())
	}
	err := c.freeze()
	if err == nil {
		err = c.awaitFrozen(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("pause %s: %w", e.name(), errors.Join(err, c.thaw()))
	}
	return func(context.Context) error {
		if e.child.Load() != c {
			return nil
		}
		if err := c.thaw(); err != nil {
			return fmt.Errorf("resume %s: %w", e.name(), err)
		}
		return nil
	}, nil
}

// awaitFrozen returns when nothing of the group runs any more.
func (c *child) awaitFrozen(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, killWithin)
	defer cancel()
	again := time.NewTicker(lookEvery)
	defer again.Stop()
	for {
		frozen, err := c.frozen()
		if frozen || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until it is frozen: %w", ctx.Err())
		case <-again.C:
		}
	}
}
