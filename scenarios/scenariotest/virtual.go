package scenariotest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/faultline-sim/faultline/scenarios/runner"
	"github.com/faultline-sim/faultline/scenarios/runner/bubble"
)

// leftBehind is what the test's own code left running in virtual time, of a run that came to its end
// all the same; nil where there is nothing of it, or the run did not end.
func leftBehind(out *runner.Outcome, err error) error {
	var left *bubble.LeftError
	var stopped *runner.StoppedError
	if out == nil || !out.Ended || errors.As(err, &stopped) || !errors.As(err, &left) {
		return nil
	}
	return fmt.Errorf("goroutines were left that wait for what will not come; in virtual time all that a "+
		"function begins must end with it:\n%s", goroutines(left.Goroutines))
}

// frozen is the clock that stood still, nil where none did.
func frozen(err error) *bubble.FrozenError {
	var e *bubble.FrozenError
	errors.As(err, &e)
	return e
}

// advised is an error of a run with what the test's own code has to do with it.
func advised(err error, notes []string) error {
	if e := frozen(err); e != nil {
		notes = append([]string{advice(e)}, notes...)
	}
	if err == nil || len(notes) == 0 {
		return err
	}
	return &advisedError{err, strings.Join(notes, "\n")}
}

type advisedError struct {
	error
	advice string
}

func (e *advisedError) Error() string { return e.error.Error() + "\n" + e.advice }
func (e *advisedError) Unwrap() error { return e.error }

// mostGoroutines bounds how many goroutines an error shows.
const mostGoroutines = 5

func goroutines(all []bubble.Goroutine) string {
	var lines []string
	for i, g := range all {
		if i == mostGoroutines {
			lines = append(lines, fmt.Sprintf("  … and %d more", len(all)-i))
			break
		}
		lines = append(lines, "  "+within(g))
	}
	return strings.Join(lines, "\n")
}

// within is "chan receive in example.org/shop.work": the innermost call of the test's own code, or of
// a library, behind those of Go's own.
func within(g bubble.Goroutine) string {
	for _, f := range g.Frames {
		if !slices.ContainsFunc(goPackages, func(p string) bool { return strings.HasPrefix(f, p) }) {
			return g.State + " in " + f
		}
	}
	if len(g.Frames) > 0 {
		return g.State + " in " + g.Frames[len(g.Frames)-1]
	}
	return g.State
}

// goPackages are those of Go's library that wait on behalf of others.
var goPackages = []string{
	"net.", "net/", "internal/", "crypto/", "bufio.", "io.", "os.", "os/", "sync.", "sync/", "syscall.",
	"runtime.", "time.", "context.", "database/sql.", "encoding/", "vendor/", "reflect.",
}

// advice is what to do about a clock that stood still, by what held it.
func advice(e *bubble.FrozenError) string {
	waits := func(states ...string) []bubble.Goroutine {
		return slices.DeleteFunc(slices.Clone(e.Waiting), func(g bubble.Goroutine) bool {
			return !slices.ContainsFunc(states, func(s string) bool { return strings.HasPrefix(g.State, s) })
		})
	}
	if sockets := waits("IO wait"); len(sockets) > 0 {
		return "it waits for a socket that was opened past Env.Dial and Env.Listen, over which virtual time " +
			"does not see:\n" + goroutines(sockets) + "\nhint: give its client env.Dial, its server env.Listen; " +
			"or run by scenariotest.RealTime()"
	}
	if working := waits("running", "runnable", "syscall"); len(working) > 0 {
		return "it works on and never waits, though the run was told to stop:\n" + goroutines(working)
	}
	if locks := waits("sync.Mutex", "sync.RWMutex"); len(locks) > 0 {
		return "it waits for a lock that somebody holds while he waits:\n" + goroutines(locks) +
			"\nhint: hold no lock over a wait; or run by scenariotest.RealTime()"
	}
	if len(e.Waiting) > 0 {
		return "it waits for something that was made outside of virtual time, or cannot be seen there:\n" +
			goroutines(e.Waiting) + "\nhint: make channels and wait groups inside of the function; or run by " +
			"scenariotest.RealTime()"
	}
	return "hint: run by scenariotest.RealTime()"
}
