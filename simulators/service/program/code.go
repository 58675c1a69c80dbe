package program

import (
	"context"
	"errors"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/topology"
)

// codeStep is what the step of a handler without work is called when code of the user's own does
// the work.
const codeStep = "code"

// Replace puts code of the user's own in the place of a handler's first work step, or before its
// first step where it has no work. It is called before the program has actors.
func (p *Program) Replace(handler string, do simulators.HandlerFunc) {
	for _, h := range p.Handlers {
		if h.Name != handler {
			continue
		}
		if s := firstWork(h.steps); s != nil {
			s.act = code(do)
			return
		}
		first := &step{
			Step:  &topology.Step{Name: codeStep, Kind: topology.Work},
			guard: p.nextGuard(), act: code(do),
		}
		h.steps = append([]*step{first}, h.steps...)
	}
}

func firstWork(steps []*step) *step {
	for _, s := range steps {
		if s.Kind == topology.Work {
			return s
		}
		if inner := firstWork(s.do); inner != nil {
			return inner
		}
	}
	return nil
}

// code does a step by a function of the user's own. Whatever it returns, the end of the attempt is
// the attempt's own doing; any other error is a failure of the work.
func code(do simulators.HandlerFunc) action {
	return func(ctx context.Context, x *run, _ *step, it *Item) error {
		err := do(ctx, it.Message, int(x.attempt))
		var known *simulators.Failure
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &known):
			return known
		}
		return simulators.Refusal(simulators.ReasonError, err)
	}
}
