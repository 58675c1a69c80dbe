package container

import (
	"context"
	"errors"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

const (
	// askEvery is the pause between two probes.
	askEvery = 50 * time.Millisecond
	// askWithin is how long one probe may take.
	askWithin = 3 * time.Second
)

// ready asks a member until it answers. A container that ends meanwhile, and a context that does,
// end the asking; each says what it knows.
func (e *Engine) ready(ctx context.Context, m *member) error {
	c := m.made.Load()
	ended := c.api.ContainerWait(ctx, c.id,
		client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	begun := time.Now()
	again := time.NewTicker(askEvery)
	defer again.Stop()
	var last error
	for {
		err := e.ask(ctx, m)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case r := <-ended.Result:
			return e.diedOf(ctx, c, r.StatusCode)
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return notReady(e.product, m, time.Since(begun), last)
			}
			return ctx.Err()
		case <-again.C:
		}
	}
}

func (e *Engine) ask(ctx context.Context, m *member) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	return e.product.probe(ctx, m)
}

// diedOf tells a container's end with its last words.
func (e *Engine) diedOf(ctx context.Context, c *made, code int64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
	defer cancel()
	return died(e.image, code, c.log(ctx))
}
