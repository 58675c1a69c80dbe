package process

import (
	"context"
	"errors"
	"time"
)

const (
	// askEvery is the pause between two probes.
	askEvery = 50 * time.Millisecond
	// askWithin is how long one probe may take.
	askWithin = 3 * time.Second
)

// ready asks the program until it answers. A program that ends meanwhile, and a context that does,
// end the asking; each says what it knows.
func (e *Engine) ready(ctx context.Context, c *child) error {
	begun := time.Now()
	again := time.NewTicker(askEvery)
	defer again.Stop()
	var last error
	for {
		err := e.ask(ctx)
		if c.hasEnded() { // who has answered is somebody else
			return died(e.program.name, c.lastWords())
		}
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-c.ended:
			return died(e.program.name, c.lastWords())
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return notReady(e.product.asked, e.ports[0], time.Since(begun), last)
			}
			return ctx.Err()
		case <-again.C:
		}
	}
}

func (e *Engine) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	c, err := e.cfg.Host.Dial(ctx, 0)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	return e.product.probe(c)
}
