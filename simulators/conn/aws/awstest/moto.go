// Package awstest puts a moto_server on a real fabric for the tests of the clients of Amazon's
// services.
//
// It is used by tests of the run step's clients only, and imports no client.
package awstest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/wire"
)

// program is the server's name, found on PATH.
const program = "moto_server"

// site is what Python reads before it runs the server.
//
//go:embed sitecustomize.py
var site []byte

// Start starts a server for a test, or skips it where none is installed.
func Start(t testing.TB) *conntest.Site {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("install moto[server] from PyPI: %v", err)
	}
	return conntest.Start(t, func(cfg engine.Config) (engine.Engine, error) {
		return &server{cfg: cfg, path: path}, nil
	}, engine.Config{Node: &topology.Node{Name: "cloud", Protocol: "sqs"}})
}

// server is a moto_server of the test's own. It forgets everything when it is stopped.
type server struct {
	cfg     engine.Config
	path    string
	running *exec.Cmd
	ended   chan struct{} // closed when the process has ended
}

func (s *server) Start(ctx context.Context) error {
	port, err := s.cfg.Host.Port(0)
	if err != nil {
		return err
	}
	s.running = exec.Command(s.path, "-H", "127.0.0.1", "-p", fmt.Sprint(port))
	s.running.Env = append(os.Environ(), "PYTHONPATH="+s.cfg.Dir)
	if err := os.WriteFile(filepath.Join(s.cfg.Dir, "sitecustomize.py"), site, 0o600); err != nil {
		return err
	}
	if err := s.running.Start(); err != nil {
		return err
	}
	s.ended = make(chan struct{})
	go func() {
		defer close(s.ended)
		_ = s.running.Wait() // it is killed in the end
	}()
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	if err := s.answers(ctx, addr); err != nil {
		return err
	}
	return s.cfg.Host.Announce(0, addr)
}

// answers waits until the server accepts connections.
func (s *server) answers(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		c, err := wire.DialBeyond(ctx, addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-s.ended:
			return errors.New("moto_server has ended")
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *server) Stop(ctx context.Context) error { return s.Kill(ctx) }

func (s *server) Kill(context.Context) error {
	if s.running == nil {
		return nil
	}
	_ = s.running.Process.Kill() // it may have ended
	<-s.ended
	s.running = nil
	return nil
}

func (s *server) Wipe(context.Context) error { return nil }
func (s *server) Info() engine.Info          { return engine.Info{} }
func (s *server) Close() error               { return s.Kill(context.Background()) }
