package scenariotest

import (
	"context"
	"fmt"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/topology"
)

// processNode is the service or cloud that a name stands for.
func processNode(t *topology.Topology, name string) (string, error) {
	full, err := t.Resolve(name)
	if err != nil {
		return "", err
	}
	return full, isProgram(t.Node(full))
}

// processFunc is a process of the test's own as simulators call it.
func (c *code) processFunc(
	node string, do func(context.Context, Env) error, uses *uses,
) simulators.ProcessFunc {
	return func(ctx context.Context, vars map[string]string, net simulators.Network) (err error) {
		name := fmt.Sprintf("%s[%s]", node, vars["REPLICA"])
		uses.given(vars)
		env, leave := (&replica{name, net, uses}).enter(vars)
		defer leave()
		c.begun(name)
		defer c.ended(name)
		err = errGone
		defer func() {
			if p := recover(); p != nil {
				err = panicked(p)
			}
			if ctx.Err() == nil {
				c.fault(early(name, err))
			}
		}()
		return do(ctx, env)
	}
}

// early is a process that returned though nothing told it to.
func early(name string, err error) error {
	if err == nil {
		return fmt.Errorf("process %s returned by itself, nothing had ended its context", name)
	}
	return fmt.Errorf("process %s returned by itself: %w", name, err)
}
