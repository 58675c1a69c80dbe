package service

import (
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/conn"
)

// clients are all clients of one replica, and the connections below them. The zero value is ready
// and safe for concurrent use.
type clients struct {
	lines simulators.Lines
	mu    sync.Mutex
	all   []io.Closer
}

func (c *clients) keep(one io.Closer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, one)
}

func (c *clients) list() []io.Closer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

// crash drops all connections without a goodbye.
func (c *clients) crash() {
	for _, one := range c.list() {
		if crasher, ok := one.(conn.Crasher); ok {
			crasher.Crash()
		}
	}
	c.lines.Sever()
}

// close closes all clients at once and returns when nothing of them is left.
func (c *clients) close() error {
	all := c.list()
	errs := make([]error, len(all))
	var closing sync.WaitGroup
	for i, one := range all {
		closing.Go(func() { errs[i] = one.Close() })
	}
	closing.Wait()
	return errors.Join(errs...)
}
