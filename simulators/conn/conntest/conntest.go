// Package conntest puts a broker's engine on a real fabric for the tests of its client, and has
// what those tests publish, count and wait for.
//
// It is used by tests of the run step's clients only, and imports no client and no engine.
package conntest

import (
	"context"
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/wire"
)

// Site is one engine behind one wire.
type Site struct {
	Fabric wire.Fabric
	Engine engine.Engine
	Wire   topology.Wire
}

// Start makes an engine for a node, and starts it. All of it ends with the test. The node is the
// far end of the site's wire.
func Start(
	t testing.TB, make func(engine.Config) (engine.Engine, error), cfg engine.Config,
) *Site {
	t.Helper()
	s := &Site{Wire: topology.Wire{From: "client", To: cfg.Node.Name}}
	var err error
	s.Fabric, err = wire.New(wire.Options{Wires: []topology.Wire{s.Wire}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Fabric.Close() })
	cfg.Host, cfg.Dir = host{s.Fabric, cfg.Node.Name}, t.TempDir()
	if s.Engine, err = make(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Engine.Close() })
	if err := s.Engine.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

// Missing ends a test for which a program is not installed: it skips the test, or fails it in CI,
// where .ci/programs sees to the programs.
func Missing(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skipf("not available here: %v", err)
}

// Dialer is a client's way over the wire.
func (s *Site) Dialer() wire.Dialer { return s.Fabric.Dialer(s.Wire, 0) }

// Break injects a fault on the wire until the returned function is called.
func (s *Site) Break(t testing.TB, f wire.Fault) (heal func()) {
	t.Helper()
	f.Name, f.Wire, f.Replica = string(f.Kind), s.Wire, -1
	injection, err := s.Fabric.Inject(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := injection.Heal(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
}

// Restart ends the engine with end and starts it again.
func (s *Site) Restart(t testing.TB, end func(context.Context) error) {
	t.Helper()
	if err := end(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// host binds the fabric to a node.
type host struct {
	fabric wire.Fabric
	node   string
}

func (h host) Listen(replica int) (net.Listener, error) { return h.fabric.Listen(h.node, replica) }
func (h host) Port(replica int) (int, error)            { return h.fabric.Port(h.node, replica) }
func (h host) Announce(replica int, addr string) error {
	return h.fabric.Announce(h.node, replica, addr)
}

func (h host) Dial(ctx context.Context, replica int) (net.Conn, error) {
	port, err := h.Port(replica)
	if err != nil {
		return nil, err
	}
	return wire.DialBeyond(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}
