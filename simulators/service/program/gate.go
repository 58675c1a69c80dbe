package program

import (
	"context"
	"sync/atomic"
)

// Gate holds handlers while a replica is paused. The zero value is open.
type Gate struct{ shut atomic.Pointer[chan struct{}] }

// Pass returns when the gate is open, or with the context's error.
func (g *Gate) Pass(ctx context.Context) error {
	shut := g.shut.Load()
	if shut == nil {
		return nil
	}
	select {
	case <-*shut:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close shuts the gate; the returned function opens it. It is false when it was shut already.
func (g *Gate) Close() (open func(), ok bool) {
	shut := make(chan struct{})
	if !g.shut.CompareAndSwap(nil, &shut) {
		return nil, false
	}
	return func() {
		if g.shut.CompareAndSwap(&shut, nil) {
			close(shut)
		}
	}, true
}
