package scenariotest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/faultline-sim/faultline/assertions/spec"
	"github.com/faultline-sim/faultline/reports"
	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/scenarios/judge"
	"github.com/faultline-sim/faultline/scenarios/runner"
	"github.com/faultline-sim/faultline/topology/diag"
)

// Result is a run that was judged.
type Result struct {
	Report reports.Report
	Folder string // the run's folder, with its history and reports
	// Differences are the verdicts that are not as they must be: as the scenario's expect: says, or
	// valid where it has none. Those that AllowUnknown lets pass are not among them.
	Differences []spec.Difference
	// Faults is what the test's own code did wrong beside any verdict: a process that returned by
	// itself, a function that did not return when it was told to.
	Faults []error

	notes []string // about the test's own code, for a reader of a failing verdict
}

// MistakesError is a scenario or topology with mistakes, all of them.
type MistakesError struct{ Mistakes diag.List }

// Error is one mistake a line.
func (e *MistakesError) Error() string { return strings.TrimSpace(e.Mistakes.String()) }

// Play runs a scenario without a test: load → plan → run → check → report. The error is a
// *MistakesError for files or options with mistakes, a *runner.EnvironmentError or a
// *runner.StoppedError for a run that did not come to its end (its result is what there was), or
// that of a file that cannot be read or written. Without Out the folder is in a new temporary one,
// which is the caller's to remove.
func Play(ctx context.Context, file string, options ...Option) (Result, error) {
	s := newSettings(options)
	if s.out == "" {
		dir, err := os.MkdirTemp("", "faultline-run-")
		if err != nil {
			return Result{}, fmt.Errorf("make run folder: %w", err)
		}
		s.out = dir
		defer os.Remove(dir) // where no run came about it is empty; else it stays
	}
	return s.play(ctx, file)
}

// play is a whole run.
func (s *settings) play(ctx context.Context, file string) (Result, error) {
	// load: files to a scenario, or all mistakes with positions
	images, err := s.readImages()
	if err != nil {
		return Result{}, err
	}
	scenario, diags, err := scenarios.Load(file, scenarios.Options{
		Set: s.set, Seed: s.seed, Engines: s.engines, Machine: runner.Machine(), Time: s.time,
		Code: s.processes(true), RealCode: s.processes(false),
	})
	if err != nil {
		return Result{}, err
	}
	if !diags.Empty() {
		return Result{}, &MistakesError{diags}
	}

	// plan: every time and random choice, fixed by the seed
	plan := scenarios.NewPlan(scenario)
	code, err := s.code(scenario.AsBuilt)
	if err != nil {
		return Result{}, err
	}

	// run: the system up, broken, healed, read back; a history
	dir, err := judge.Begin(s.out, plan)
	if err != nil {
		return Result{}, err
	}
	defer dir.Close()
	outcome, stopped := runner.Run(ctx, plan, runner.Options{
		Dir: dir.History(), Code: code.simulators(), Images: images, Progress: s.progress,
	})

	// check and report: history to verdicts, verdicts to files
	virtual := plan.Time == scenarios.VirtualTime
	if !virtual {
		code.await()
	}
	result := Result{Folder: dir.Path(), Faults: code.faults(frozen(stopped) == nil), notes: code.notes(virtual)}
	if left := leftBehind(outcome, stopped); left != nil {
		result.Faults, stopped = append(result.Faults, left), nil
	}
	facts := judge.NewFacts(outcome, stopped, version(), s.repeat(file, scenario.Seed))
	result.Report, result.Differences, err = judge.End(dir, facts)
	stopped = advised(stopped, result.notes)
	switch {
	case frozen(stopped) != nil:
		return result, stopped // its history has no end, so there is nothing to judge
	case err != nil:
		return result, errors.Join(stopped, err)
	}
	result.Differences = s.allowed(result)
	return result, errors.Join(stopped, judge.Write(dir, result.Report))
}

// readImages checks what the options say of engines, and reads the file of images.
func (s *settings) readImages() (map[string]string, error) {
	var wrong diag.List
	if accepted := []string{"auto", "embedded", "containers"}; s.engines != "" &&
		!slices.Contains(accepted, s.engines) {
		wrong.Add(diag.Position{File: "scenariotest.Engines"}, "unknown-value", "%q, %s", s.engines,
			diag.Expected(s.engines, accepted))
		return nil, &MistakesError{wrong}
	}
	if s.images == "" {
		return nil, nil
	}
	images, wrong, err := scenarios.Images(s.images)
	if err == nil && !wrong.Empty() {
		err = &MistakesError{wrong}
	}
	return images, err
}

// repeat is what repeats the run: the test itself, or the command where no code of the test's own
// takes part.
func (s *settings) repeat(file string, seed uint64) string {
	words := []string{"faultline", "run", quoted(file), "--seed", strconv.FormatUint(seed, 10)}
	if s.engines != "" && s.engines != "auto" {
		words = append(words, "--engines", s.engines)
	}
	if s.time != "" && s.time != scenarios.AutoTime {
		words = append(words, "--time", s.time)
	}
	if s.images != "" {
		words = append(words, "--images", quoted(s.images))
	}
	for _, set := range s.set {
		words = append(words, "--set", quoted(set))
	}
	command := strings.Join(words, " ")
	again := fmt.Sprintf("go test -count=1 -run %s", quoted(pattern(s.test)))
	switch {
	case s.test == "" && s.ownCode():
		return fmt.Sprintf("the same program, seed %d", seed)
	case s.test == "":
		return command
	case s.ownCode():
		return fmt.Sprintf("%s (seed %d)", again, seed)
	}
	return command + ", or " + again
}

// pattern is what -run takes for one test, subtests level by level.
func pattern(test string) string { return "^" + strings.ReplaceAll(test, "/", "$/^") + "$" }

// quoted is a word as a shell takes it.
func quoted(word string) string {
	if !strings.ContainsAny(word, " \t\"'$&|;<>()*?[]#~`\\^") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// version is that of this module in the program that it is built into.
func version() string {
	const module = "github.com/faultline-sim/faultline"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module {
			return m.Version
		}
	}
	return "unknown"
}
