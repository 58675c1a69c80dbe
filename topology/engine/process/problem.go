package process

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// What callers tell apart. Errors of this package wrap them.
var (
	ErrNoProgram = errors.New("the program is not installed")
	ErrDied      = errors.New("the program ended at its start")
	ErrNotReady  = errors.New("it was never ready")
)

// Problem is why a program cannot do what was asked of it, and what to do about it: a failure of
// the environment.
type Problem struct {
	Err error
	Do  string
}

// Error says what is wrong.
func (p *Problem) Error() string { return p.Err.Error() }

// Unwrap is the error behind it.
func (p *Problem) Unwrap() error { return p.Err }

// Hint says what to do.
func (p *Problem) Hint() string { return p.Do }

func missing(p program) error {
	return &Problem{fmt.Errorf("%w: %q is not found on PATH", ErrNoProgram, p.name),
		fmt.Sprintf("install %s, or choose --engines containers", p.from)}
}

// died tells how a program ended that was to be asked whether it is ready.
func died(program, words string) error {
	return &Problem{fmt.Errorf("%w: %s: %s", ErrDied, program, words),
		"see what the program wrote, or choose --engines containers"}
}

// notReady tells what was asked until the deadline, and what came back last.
func notReady(asked string, port int, took time.Duration, last error) error {
	answer := "nothing was answered"
	if last != nil {
		answer = "last: " + strings.Join(strings.Fields(last.Error()), " ")
	}
	return &Problem{
		fmt.Errorf("%w: asked 127.0.0.1:%d for %s over %s; %s", ErrNotReady, port, asked,
			took.Round(time.Second), answer),
		"the machine may be too busy: run fewer at once"}
}
