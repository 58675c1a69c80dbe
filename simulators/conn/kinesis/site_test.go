package kinesis_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/conn/kinesis"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/wire"
)

// server is moto_server as a child process, made to keep Kinesis's promises by testdata/moto. What
// it holds is in its memory.
type server struct {
	host    engine.Host
	command *exec.Cmd
}

var _ engine.Engine = (*server)(nil)

// Start returns when it answers.
func (s *server) Start(ctx context.Context) error {
	port, err := s.host.Port(0)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs("testdata/moto")
	if err != nil {
		return err
	}
	addr := "127.0.0.1:" + strconv.Itoa(port)
	s.command = exec.Command("moto_server", "-H", "127.0.0.1", "-p", strconv.Itoa(port))
	s.command.Env = append(os.Environ(), "PYTHONPATH="+dir)
	if err := s.command.Start(); err != nil {
		return err
	}
	if err := s.host.Announce(0, addr); err != nil {
		return err
	}
	return answers(ctx, addr)
}

// answers asks until there is an answer.
func answers(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		c, err := wire.DialBeyond(ctx, addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

func (s *server) Kill(context.Context) error {
	if s.command == nil || s.command.Process == nil {
		return nil
	}
	_ = s.command.Process.Kill()
	_ = s.command.Wait() // killed
	s.command = nil
	return nil
}

func (s *server) Stop(ctx context.Context) error { return s.Kill(ctx) }
func (s *server) Wipe(context.Context) error     { return nil }
func (s *server) Info() engine.Info              { return engine.Info{} }
func (s *server) Close() error                   { return s.Kill(context.Background()) }

// start puts a server on a fabric.
func start(t testing.TB) *conntest.Site {
	t.Helper()
	if _, err := exec.LookPath("moto_server"); err != nil {
		t.Skip("no moto_server found on PATH (pip install 'moto[server]')")
	}
	return conntest.Start(t, func(c engine.Config) (engine.Engine, error) {
		return &server{host: c.Host}, nil
	}, engine.Config{Node: &topology.Node{Name: "stream"}})
}

// connected is a client without channels.
func connected(t testing.TB, s *conntest.Site, name string) *kinesis.Client {
	t.Helper()
	c := kinesis.New(conn.Config{Dialer: s.Dialer(), Client: name})
	t.Cleanup(func() { c.Close() })
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// client is connected, and its channel declared.
func client(t testing.TB, s *conntest.Site, name string, parallel int) *kinesis.Client {
	t.Helper()
	c := connected(t, s, name)
	declare(t, c, "events", parallel)
	return c
}

func declare(t testing.TB, c conn.Broker, channel string, parallel int) {
	t.Helper()
	err := c.Declare(t.Context(), []*topology.Channel{
		{Ref: "stream/" + channel, Parallel: parallel, Groups: []string{"worker"}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func subscribe(t testing.TB, c conn.Broker, handle func(conn.Delivery)) {
	t.Helper()
	err := c.Subscribe(t.Context(), conn.Subscription{
		Channel: "events", Group: "worker", Handle: handle,
	})
	if err != nil {
		t.Fatal(err)
	}
}
