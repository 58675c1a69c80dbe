package container

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/faultline-sim/faultline/topology/engine"
)

// What callers tell apart. Errors of this package wrap them.
var (
	ErrNoDaemon     = errors.New("no Docker daemon answers")
	ErrNoPermission = errors.New("the Docker daemon's socket may not be used")
	ErrNoImage      = errors.New("the image is neither here nor can it be pulled")
	ErrPortTaken    = errors.New("the port is taken")
	ErrDied         = errors.New("the container ended at its start")
	ErrNotReady     = errors.New("it was never ready")
	ErrUnable       = errors.New("not possible here")
)

// unreachable says why the daemon cannot be asked.
func unreachable(err error) error {
	if strings.Contains(err.Error(), "permission denied") {
		return engine.NewProblem(fmt.Errorf("%w: %w", ErrNoPermission, oneLine(err)),
			"add yourself to the group docker and log in anew, or choose --engines embedded")
	}
	return engine.NewProblem(fmt.Errorf("%w: %w", ErrNoDaemon, oneLine(err)),
		"start Docker, or choose --engines embedded")
}

func noImage(image string, err error) error {
	return engine.NewProblem(fmt.Errorf("%w: %q: %w", ErrNoImage, image, oneLine(err)),
		"name another with image: on the node or with --images FILE; "+
			".ci/docker builds local ones where nothing can be pulled")
}

// atStart sorts an error of the daemon's when it starts a container.
func atStart(m *member, err error) error {
	text := err.Error()
	if strings.Contains(text, "port is already allocated") ||
		strings.Contains(text, "address already in use") {
		return engine.NewProblem(
			fmt.Errorf("publish 127.0.0.1:%d: %w: %w", m.port, ErrPortTaken, oneLine(err)),
			fmt.Sprintf("end what listens on 127.0.0.1:%d, or run again: another port is chosen",
				m.port))
	}
	return fmt.Errorf("start container %q: %w", m.name, err)
}

// died tells how a container ended that was to be asked whether it is ready.
func died(image string, code int64, log []string) error {
	said := "it logged nothing"
	if len(log) > 0 {
		said = fmt.Sprintf("its last %d lines:\n    %s", len(log), strings.Join(log, "\n    "))
	}
	return engine.NewProblem(fmt.Errorf("%w: %s with exit code %d; %s", ErrDied, image, code, said),
		"see what the container logged; an image: must be one of the protocol's default image's kind")
}

// notReady tells what was asked until the deadline, and what came back last.
func notReady(p product, m *member, took time.Duration, last error) error {
	answer := "nothing was answered"
	if last != nil {
		answer = "last: " + oneLine(last).Error()
	}
	return engine.NewProblem(
		fmt.Errorf("%w: asked 127.0.0.1:%d for %s over %s; %s", ErrNotReady, m.port, p.asked,
			took.Round(time.Second), answer),
		"the machine may be too busy: run fewer at once")
}

// oneLine is an error whose text has no line breaks.
func oneLine(err error) error {
	return flat{err}
}

type flat struct{ error }

func (f flat) Error() string { return strings.Join(strings.Fields(f.error.Error()), " ") }

func (f flat) Unwrap() error { return f.error }
