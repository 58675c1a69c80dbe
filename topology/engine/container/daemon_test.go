//go:build !containers

package container_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/container"
)

// The library remembers for the whole process where it found a daemon, so this is not done beside
// tests that need one.
func TestWithoutADaemon(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "none.sock"))
	e, err := container.New(engine.Config{Node: &topology.Node{Name: "cache", Protocol: "redis"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func() error{
		"fetch": func() error {
			return e.(engine.Fetcher).Fetch(t.Context(), func(text string) { t.Error(text) })
		},
		"start":     func() error { return e.Start(t.Context()) },
		"leftovers": func() error { _, err := container.Leftovers(t.Context()); return err },
	} {
		err := ask()
		var p *engine.Problem
		if !errors.Is(err, container.ErrNoDaemon) || !errors.As(err, &p) ||
			p.Hint() != "start Docker, or choose --engines embedded" {
			t.Errorf("%s/no daemon/got %v", name, err)
		}
	}
	for name, do := range map[string]func(context.Context) error{
		"stop": e.Stop, "kill": e.Kill, "close": func(context.Context) error { return e.Close() },
	} {
		if err := do(t.Context()); err != nil {
			t.Errorf("%s/never started/got %v", name, err)
		}
	}
}
