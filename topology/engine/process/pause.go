package process

import (
	"context"
	"errors"
	"fmt"
)

// Pause freezes the program and its group: connections stay open, new ones are taken by the kernel,
// nothing is answered. A program that was ended meanwhile has nothing to resume.
func (e *Engine) Pause(context.Context) (func(context.Context) error, error) {
	c := e.child.Load()
	if c == nil {
		return nil, fmt.Errorf("pause %s: it is stopped", e.name())
	}
	if err := c.freeze(); err != nil {
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
