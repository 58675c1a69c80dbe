package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/reports"
	"github.com/faultline-sim/faultline/scenarios/runner"
	"github.com/faultline-sim/faultline/topology/diag"
)

const formatNames = "text, json, junit, markdown"

func known(format string) bool {
	for name := range strings.SplitSeq(formatNames, ", ") {
		if name == format {
			return true
		}
	}
	return false
}

// print writes a report to stdout in one of the formats.
func (t *terminal) print(r reports.Report, format string) error {
	switch format {
	case "json":
		return reports.JSON(t.out, r)
	case "junit":
		return reports.JUnit(t.out, r)
	case "markdown":
		return reports.Markdown(t.out, r)
	}
	width, color := isTerminal(t.out)
	color = color && os.Getenv("NO_COLOR") == ""
	return reports.Text(t.out, r, reports.TextOptions{Color: color, Width: width})
}

// worst is the value of several reports together: invalid before unknown before valid.
func worst(all []reports.Report) assertions.Value {
	value := assertions.Valid
	for _, r := range all {
		if r.Value == assertions.Invalid {
			return assertions.Invalid
		}
		if r.Value != assertions.Valid {
			value = assertions.Unknown
		}
	}
	return value
}

// notLoaded is a scenario that could not be read, or has mistakes.
func (t *terminal) notLoaded(diags diag.List, err error) error {
	if err != nil {
		return readFailed(err)
	}
	return t.mistakes(diags)
}

// endedEarly is the error of a run whose files are written: that of the environment, or of a run
// that was stopped, which leaves unknown what was not shown invalid before.
func endedEarly(stopped, written error, value assertions.Value) error {
	if written != nil {
		return environment(written, "")
	}
	var env *runner.EnvironmentError
	var early *runner.StoppedError
	switch {
	case stopped == nil:
		return nil
	case errors.As(stopped, &env):
		return environment(stopped, environmentHint(stopped))
	case errors.As(stopped, &early):
		code := exitUnknown
		if value == assertions.Invalid {
			code = exitInvalid
		}
		return &exit{Code: code, Err: stopped, Hint: "the run's folder has its history up to then"}
	}
	return environment(stopped, "")
}

// environmentHint is what to do about the failures that users meet most.
func environmentHint(err error) string {
	var known interface{ Hint() string }
	if errors.As(err, &known) {
		return known.Hint()
	}
	switch text := err.Error(); {
	case strings.Contains(text, "no space left"):
		return "free some space, or name a folder on another disk with --out"
	case strings.Contains(text, "address already in use"):
		return "another program has the port; end it, or choose another"
	case strings.Contains(text, "too many open files"):
		return fmt.Sprintf("raise the limit of open files (%s), or make the fleets smaller",
			"ulimit -n")
	}
	return ""
}
