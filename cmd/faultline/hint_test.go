package main

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/scenarios/runner"
)

// knowing is an error that knows what to do about it, as those of containers do.
type knowing struct{}

func (knowing) Error() string { return "no Docker daemon answers" }
func (knowing) Hint() string  { return "start Docker" }

func TestAFailureOfTheEnvironmentHasOneHint(t *testing.T) {
	const head = "faultline: error: set up: "
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"environment/an error that knows its hint/told",
			fmt.Errorf("get engine: %w", knowing{}),
			head + "get engine: no Docker daemon answers\nfaultline: hint: start Docker\n"},
		{"environment/a full disk/told", errors.New("write: no space left on device"),
			head + "write: no space left on device\n" +
				"faultline: hint: free some space, or name a folder on another disk with --out\n"},
		{"environment/nothing known/none", errors.New("broken"), head + "broken\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var said bytes.Buffer
			env := &runner.EnvironmentError{Err: fmt.Errorf("set up: %w", tt.err)}
			code := exitCode(&said, endedEarly(env, nil, assertions.Unknown))
			if code != exitEnvironment {
				t.Errorf("exit code %d, want %d", code, exitEnvironment)
			}
			if diff := cmp.Diff(tt.want, said.String()); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
		})
	}
}
