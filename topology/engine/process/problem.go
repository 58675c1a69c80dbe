package process

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/faultline-sim/faultline/topology/engine"
)

// What callers tell apart. Errors of this package wrap them.
var (
	ErrNoProgram = errors.New("the program is not installed")
	ErrDied      = errors.New("the program ended at its start")
	ErrNotReady  = errors.New("it was never ready")
)

func missing(p program) error {
	return engine.NewProblem(fmt.Errorf("%w: %q is not found on PATH", ErrNoProgram, p.name),
		fmt.Sprintf("install %s, or choose --engines containers", p.from))
}

// died tells how a program ended that was to be asked whether it is ready.
func died(program, words string) error {
	return engine.NewProblem(fmt.Errorf("%w: %s: %s", ErrDied, program, words),
		"see what the program wrote, or choose --engines containers")
}

// notReady tells what was asked until the deadline, and what came back last.
func notReady(asked string, port int, took time.Duration, last error) error {
	answer := "nothing was answered"
	if last != nil {
		answer = "last: " + strings.Join(strings.Fields(last.Error()), " ")
	}
	return engine.NewProblem(
		fmt.Errorf("%w: asked 127.0.0.1:%d for %s over %s; %s", ErrNotReady, port, asked,
			took.Round(time.Second), answer),
		"the machine may be too busy: run fewer at once")
}
