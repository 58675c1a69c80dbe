package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/scenarios/runner"
)

// The exit codes, a contract: unknown and the environment's failures are never folded into valid
// or invalid.
const (
	exitValid       = 0
	exitInvalid     = 1
	exitUsage       = 2
	exitUnknown     = 3
	exitEnvironment = 4
)

// exit is an error that knows its code and, where there is one, what to do about it. An empty Err
// means that everything there is to say was printed already.
type exit struct {
	Code int
	Err  error
	Hint string
}

func (e *exit) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

func (e *exit) Unwrap() error { return e.Err }

// usage is a mistake on the command line.
func usage(err error, hint string) error { return &exit{Code: exitUsage, Err: err, Hint: hint} }

// environment is a failure of the machine.
func environment(err error, hint string) error {
	return &exit{Code: exitEnvironment, Err: err, Hint: hint}
}

// verdictExit is the code of an overall verdict, with nothing left to print.
func verdictExit(v assertions.Value) error {
	switch v {
	case assertions.Valid:
		return nil
	case assertions.Invalid:
		return &exit{Code: exitInvalid}
	}
	return &exit{Code: exitUnknown}
}

// exitCode prints an error in the program's voice and gives its code. Errors that know no code of
// their own are mistakes of usage when cobra found them, else failures of the environment.
func exitCode(stderr io.Writer, err error) int {
	if err == nil {
		return exitValid
	}
	var known *exit
	if !errors.As(err, &known) {
		known = &exit{Code: exitEnvironment, Err: err}
		var env *runner.EnvironmentError
		if !errors.As(err, &env) && cobraMistake(err) {
			known.Code, known.Hint = exitUsage, "see 'faultline --help'"
		}
	}
	if known.Err != nil {
		fmt.Fprintf(stderr, "faultline: error: %v\n", known.Err)
	}
	if known.Hint != "" {
		fmt.Fprintf(stderr, "faultline: hint: %s\n", known.Hint)
	}
	return known.Code
}

// cobraMistake says that cobra refused the command line itself; it has no type for that.
func cobraMistake(err error) bool {
	for _, start := range []string{"unknown command", "unknown flag", "accepts ",
		"requires at least", "invalid argument"} {
		if strings.HasPrefix(err.Error(), start) {
			return true
		}
	}
	return false
}
