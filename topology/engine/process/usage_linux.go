package process

import (
	"context"
	"fmt"

	"github.com/faultline-sim/faultline/topology/engine"
)

// Usage is what the program and all that it has started use. Memory is what is resident: pages that
// several processes share count for each of them.
func (e *Engine) Usage(context.Context) (engine.Usage, error) {
	c := e.child.Load()
	if c == nil || c.hasEnded() {
		return engine.Usage{}, fmt.Errorf("measure %s: it does not run", e.name())
	}
	all, err := c.family()
	if err != nil {
		return engine.Usage{}, fmt.Errorf("measure %s: %w", e.name(), err)
	}
	var sum engine.Usage
	for _, m := range all {
		sum.CPU += m.cpu
		sum.Memory += m.memory
	}
	return sum, nil
}
