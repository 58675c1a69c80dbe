package runner

import (
	"context"
	"fmt"
	"runtime/debug"

	"golang.org/x/sync/errgroup"
)

// crew is the goroutines of one part of a run. The first error, or panic, ends them all.
type crew struct {
	group *errgroup.Group
	ctx   context.Context
}

func newCrew(ctx context.Context) *crew {
	g, ctx := errgroup.WithContext(ctx)
	return &crew{group: g, ctx: ctx}
}

// start runs work in a goroutine of its own; a panic in it becomes an error that names it.
func (c *crew) start(name string, work func(context.Context) error) {
	c.group.Go(func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic in %s: %v\n%s", name, p, debug.Stack())
			}
		}()
		return work(c.ctx)
	})
}

func (c *crew) wait() error { return c.group.Wait() }
