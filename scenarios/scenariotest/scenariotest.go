// Package scenariotest is Faultline's door for go test: a scenario is a test, each of its
// assertions a subtest, and code of the test's own may stand in the place of what is simulated.
//
// It is all of load → plan → run → check → report in one call. It promises what the command line
// promises: unknown is never taken for valid, every fault heals, nothing that was started is left
// when Run returns, and runs do not disturb each other (call t.Parallel as you like). It opens no
// connection itself.
//
// # Time
//
// A run goes by a virtual clock where every node can, and takes about as long as its work: see
// Virtual. A Handler lives in it as it is, a Process when its clients dial by Env.Dial: see
// DialsByEnv.
//
// # Evidence
//
// Of a Handler everything is seen: the simulated service around it records what it is given and
// what it answers. Of a Process nothing is seen from inside. It is judged by what stands around it:
// its wires, the events of its neighbours, the depth of the channels it consumes and what the audit
// finds at the sinks. So that a message is known again, a process passes on the CloudEvents headers
// that it received: ce_* of a Kafka record as Ce-* over HTTP and the other way round, and
// traceparent. In an S3 store a message is the object faultline/<table>/<ce_id>, a structured
// CloudEvent; a process that writes elsewhere is judged by whoever passes its messages on.
//
// What cannot be judged that way, its retries, its breakers, the time of its own
// writes to a store, is unknown, which fails the test unless the scenario's expect: or AllowUnknown
// says otherwise.
package scenariotest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/scenarios/runner"
	"github.com/faultline-sim/faultline/simulators/process"
)

// Run runs a scenario and fails the test unless every verdict is valid, or as the scenario's
// expect: says. Each verdict is a subtest by its name; one that fails says whether it is invalid or
// unknown, shows its counterexamples and what repeats the run. Mistakes in the files, a failing
// environment and a run that did not come to its end are fatal. Near the test's deadline the run is
// stopped and healed.
func Run(t *testing.T, file string, options ...Option) Result {
	t.Helper()
	s := newSettings(options)
	s.test = t.Name()
	if s.out == "" {
		s.out = t.ArtifactDir()
	}
	var log log
	defer log.end()
	s.progress = func(p runner.Progress) {
		if p.Text != "" {
			log.printf(t, "%7.2fs  %s", p.At.Seconds(), p.Text)
		}
	}
	ctx, cancel := untilDeadline(t)
	defer cancel()
	result, err := s.play(ctx, file)
	for _, fault := range result.Faults {
		t.Error(fault)
	}
	if err != nil {
		t.Fatal(explain(file, result, err))
	}
	tell(t, result)
	return result
}

// log is what a run tells its test. A run whose clock stood still, and that is woken when the test is
// over, tells it nothing any more: that would end the test's program.
type log struct {
	mu   sync.Mutex
	over bool
}

func (l *log) printf(t *testing.T, format string, args ...any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		t.Logf(format, args...)
	}
}

func (l *log) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}

// explain is an error of a run that was not judged, or not to its end.
func explain(file string, r Result, err error) string {
	var mistakes *MistakesError
	var environment *runner.EnvironmentError
	var stopped *runner.StoppedError
	var notReady *process.NotReadyError
	text := err.Error()
	switch {
	case errors.As(err, &mistakes):
		return fmt.Sprintf("%s has mistakes:\n%s", file, text)
	case frozen(err) != nil:
		text = "the run did not come to its end: " + text
	case errors.As(err, &notReady):
		text = "the test's own process did not come up: " + text
	case errors.As(err, &environment):
		text = "the environment failed, which says nothing about the system: " + text
		var known interface{ Hint() string }
		if errors.As(err, &known) {
			text += "\nhint: " + known.Hint()
		}
	case errors.As(err, &stopped):
		text = "the run did not come to its end: " + text
	}
	if r.Folder != "" {
		text += "\nrun folder: " + r.Folder
	}
	return strings.TrimSpace(text)
}

// longestMargin is the most that is kept of a test's time for healing and closing.
const longestMargin = 10 * time.Second

// untilDeadline is the test's context, which ends a little before the test's deadline.
func untilDeadline(t *testing.T) (context.Context, context.CancelFunc) {
	deadline, ok := t.Deadline()
	if !ok {
		return context.WithCancel(t.Context())
	}
	left := time.Until(deadline)
	margin := min(longestMargin, left/4)
	return context.WithTimeoutCause(t.Context(), left-margin, deadlineError{margin})
}

// deadlineError is the cause of a run that was stopped because its test has no more time. It is a
// cancellation: neither the system nor the environment is to blame.
type deadlineError struct{ margin time.Duration }

func (e deadlineError) Error() string {
	left := e.margin.Round(time.Second / 10)
	return fmt.Sprintf("the test's deadline is in %s (go test -timeout)", left)
}

func (deadlineError) Is(target error) bool { return target == context.Canceled }
