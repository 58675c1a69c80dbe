package relay

import (
	"context"
	"io"
	"sync"
)

// gate holds all bytes of a port while it is shut. The zero value is open.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // nil while nothing is held
}

// close holds bytes from now on; false when they are held already.
func (g *gate) close() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open != nil {
		return false
	}
	g.open = make(chan struct{})
	return true
}

// release lets what was held go on.
func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open != nil {
		close(g.open)
		g.open = nil
	}
}

// pass returns when nothing is held, or the context ends.
func (g *gate) pass(ctx context.Context) error {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	if open == nil {
		return nil
	}
	select {
	case <-open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// gated is a reader whose bytes pass the gate.
type gated struct {
	io.Reader
	gate *gate
	ctx  context.Context
}

func (g gated) Read(b []byte) (int, error) {
	n, err := g.Reader.Read(b)
	if held := g.gate.pass(g.ctx); held != nil {
		return 0, held
	}
	return n, err
}
