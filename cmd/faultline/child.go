package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"github.com/faultline-sim/faultline/assertions/spec"
	"github.com/faultline-sim/faultline/reports"
	"github.com/faultline-sim/faultline/scenarios"
)

// A run in virtual time has a process for itself: it uses one processor, whatever else goes on, and
// the order of what it does is its own. So "test" runs each in a child, as many as there are
// processors.

// childCommand is what a child is asked by; nobody else types it.
const childCommand = "run-one"

// childEnds is how long a child may take to heal and close when it is interrupted.
const childEnds = 20 * time.Second

// childResult is what a child tells on its stdout.
type childResult struct {
	Report      reports.Report
	Folder      string
	Differences []spec.Difference
	Code        int    // of an error
	Err, Hint   string // "" for none
}

// newChild runs one scenario, and tells the result to the process that asked for it.
func newChild(t *terminal) *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:    childCommand + " SCENARIO",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := errors.Join(o.valid(), t.readImages(&o)); err != nil {
				return err
			}
			ran, err := t.runScenario(c.Context(), args[0], o)
			told := childResult{
				Report: ran.Report, Folder: ran.Folder, Differences: ran.differences,
			}
			var known *exit
			if errors.As(err, &known) {
				told.Code, told.Hint = known.Code, known.Hint
			}
			if err != nil {
				told.Err = err.Error()
			}
			return json.NewEncoder(t.out).Encode(told)
		},
	}
	o.flags(c)
	return c
}

// runChild runs a scenario in a process of its own.
func (t *terminal) runChild(ctx context.Context, file string, o runOptions) (judged, error) {
	self, err := os.Executable()
	if err != nil {
		return judged{}, environment(fmt.Errorf("find this program: %w", err), "")
	}
	c := exec.CommandContext(ctx, self)
	c.Args = append([]string{os.Args[0], childCommand, file}, o.words()...)
	c.Env = append(os.Environ(), "GOMAXPROCS=1")
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = childEnds
	var out, said bytes.Buffer
	c.Stdout, c.Stderr = &out, &said
	err = c.Run()
	var told childResult
	if bad := json.Unmarshal(out.Bytes(), &told); bad != nil {
		return judged{}, environment(
			fmt.Errorf("run %s in a process of its own: %w\n%s", file,
				errors.Join(err, ctx.Err(), bad), &said), "")
	}
	told.Report.Folder = told.Folder
	ran := judged{told.Report, told.Differences}
	if told.Err != "" {
		return ran, &exit{Code: told.Code, Err: errors.New(told.Err), Hint: told.Hint}
	}
	return ran, nil
}

// words are the flags as they were given.
func (o *runOptions) words() []string {
	words := []string{"--time", o.time, "--wires", o.wires, "--engines", o.engines, "--out", o.out}
	if o.seed != "" {
		words = append(words, "--seed", o.seed)
	}
	if o.images != "" {
		words = append(words, "--images", o.images)
	}
	for _, s := range o.set {
		words = append(words, "--set", s)
	}
	return words
}

// virtual says that a scenario is run in virtual time. Mistakes in it are told when it is run.
func (o *runOptions) virtual(file string) bool {
	s, diags, err := scenarios.Load(file, o.scenario())
	return err == nil && diags.Empty() && s.Time == scenarios.VirtualTime
}
