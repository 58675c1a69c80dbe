// Package runner executes a plan: it brings the system up, offers the load, breaks and heals what
// the timeline says, waits until nothing moves, reads everything back, and leaves a history.
//
// It is the run step of load → plan → run → check → report, and owns the run's goroutines and its
// clock. It promises that every fault is healed and everything started is closed, also on an
// interrupt, a panic or a passed deadline. It judges nothing: it may not import checkers or reports.
package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/wire"
)

// Options are what a run is given beside its plan.
type Options struct {
	// Dir is where the history goes; it must exist and be empty. Engines keep their data in a folder
	// beside it, gone when the run ends in order.
	Dir string
	// Images are those to run in the place of the default ones, by default image.
	Images  map[string]string
	APIPort int // of Toxiproxy's HTTP API; 0 takes a free one
	// TCP makes every wire of sockets, in real time.
	TCP bool
	Log *slog.Logger
	// Code is the user's own, in place of what would be simulated; nil is none.
	Code *simulators.Code
	// Progress is told what the run is doing; nil is allowed. It is called from one goroutine at a
	// time and must not block for long.
	Progress func(Progress)
}

// Progress is one thing to show while a run goes on.
type Progress struct {
	At     time.Duration // since the run began
	Phase  string
	Text   string // what just happened, "" for a mere tick
	Long   bool   // what Text tells of may take minutes, as pulling an image does
	API    string
	Sent   int64 // messages offered so far
	Asked  int64 // messages the plan will offer in all
	Faults int   // in force now
}

// Outcome is what a run leaves beside its history.
type Outcome struct {
	Engines map[string]engine.Info // by node
	Ended   bool                   // the audit is complete
	Took    time.Duration
	// Transport is what carried the bytes of wires whose ends are both in this process.
	Transport wire.Transport
}

// EnvironmentError is a failure of the machine, not of the system under test: a port, a disk, a
// missing program.
type EnvironmentError struct{ Err error }

func (e *EnvironmentError) Error() string { return e.Err.Error() }
func (e *EnvironmentError) Unwrap() error { return e.Err }

// StoppedError is a run that ended before its plan did; its history is readable up to then.
type StoppedError struct {
	Phase string
	Err   error
}

func (e *StoppedError) Error() string { return fmt.Sprintf("stopped in phase %s: %v", e.Phase, e.Err) }
func (e *StoppedError) Unwrap() error { return e.Err }

// ErrDeadline is the cause of a run that took longer than its scenario allows.
var ErrDeadline = errors.New("the run passed its deadline")

// Run executes a plan. The error is an *EnvironmentError when the system could not be brought up or
// the history not be written, a *StoppedError when the run ended early; the history in Options.Dir
// is closed and readable in every case.
func Run(ctx context.Context, p *scenarios.Plan, opt Options) (out *Outcome, err error) {
	if p.Time == scenarios.VirtualTime {
		return inVirtualTime(ctx, p, opt)
	}
	return execute(ctx, p, opt)
}

// execute is a run by the clock that it finds itself in.
func execute(ctx context.Context, p *scenarios.Plan, opt Options) (out *Outcome, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.Deadline,
		fmt.Errorf("%w of %s", ErrDeadline, p.Deadline))
	defer cancel()
	r, err := newRun(p, opt)
	if err != nil {
		return nil, &EnvironmentError{err}
	}
	defer func() { err = r.close(err) }()
	if err := r.setUp(ctx); err != nil {
		return r.outcome(), err
	}
	if err := r.play(ctx); err != nil {
		return r.outcome(), r.stopped(ctx, err)
	}
	r.out.Ended = true
	return r.outcome(), nil
}

// play is the run from the first message to the last row read back.
func (r *run) play(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer r.watchDisk(cancel)()
	crew := newCrew(ctx)
	r.phase(scenarios.PhaseSteady)
	r.origin = r.recorder.Now()
	crew.start("load", r.offerAll)
	crew.start("timeline", r.timeline)
	sampling, stopSampling := context.WithCancel(ctx)
	defer stopSampling()
	samplers := newCrew(sampling)
	samplers.start("gauges", r.sample)
	samplers.start("usage", r.meter)
	if err := crew.wait(); err != nil {
		return err
	}
	r.phase(scenarios.PhaseDrain)
	if err := r.drain(ctx); err != nil {
		return err
	}
	stopSampling()
	if err := samplers.wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	r.phase(scenarios.PhaseAudit)
	return r.audit(ctx)
}

// watchDisk ends the run when the history cannot be written any more. Call what it returns when
// the run is over.
func (r *run) watchDisk(end context.CancelCauseFunc) (stop func()) {
	over := make(chan struct{})
	go func() {
		select {
		case <-r.recorder.Failed():
			end(r.recorder.Err())
		case <-over:
		}
	}()
	return func() { close(over) }
}

// stopped says why the run ended early, and in which phase.
func (r *run) stopped(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) ||
		cause != nil && errors.Is(err, context.DeadlineExceeded) {
		err = cause
	}
	if disk := r.recorder.Err(); disk != nil {
		return &EnvironmentError{fmt.Errorf("record history: %w", disk)}
	}
	return &StoppedError{Phase: r.phaseNow(), Err: err}
}

// phase records that a phase begins and tells the user.
func (r *run) phase(name string) {
	r.mu.Lock()
	r.current = name
	r.mu.Unlock()
	e := history.New(history.Phase, r.recorder.Now())
	e.Step = name
	r.recorder.Record(&e)
	r.say("phase %s", name)
}

func (r *run) phaseNow() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}
