package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/scenarios/runner/bubble"
)

// StacksFile is where, beside the history's folder, all goroutines stand of a run whose clock stood
// still.
const StacksFile = "goroutines.txt"

// inVirtualTime is a run whose clock jumps from one event to the next.
func inVirtualTime(ctx context.Context, p *scenarios.Plan, opt Options) (out *Outcome, err error) {
	var stopped error
	err = bubble.Run(ctx, p.Seed, func(ctx context.Context) error {
		out, stopped = execute(ctx, p, opt)
		return nil
	})
	var frozen *bubble.FrozenError
	switch {
	case err == nil:
		return out, stopped
	case errors.As(err, &frozen):
		file := filepath.Join(filepath.Dir(opt.Dir), StacksFile)
		if kept := os.WriteFile(file, []byte(frozen.All), 0o600); kept != nil {
			err = errors.Join(err, kept)
		}
		err = fmt.Errorf("%w\n  all goroutines are in %s; --time real runs it by the machine's clock", err, file)
		return nil, &EnvironmentError{err}
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, &StoppedError{Phase: scenarios.PhaseSetup, Err: cause}
	}
	return out, &EnvironmentError{errors.Join(err, stopped)} // something was left behind; the run is over
}
