//go:build containers

package container_test

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/stack"
	"github.com/faultline-sim/faultline/topology/wire"
)

// protocols are those that there are containers for. One of moto's services stands for the others.
var protocols = []string{"amqp", "kafka", "mqtt", "nats", "postgres", "redis", "s3", "sqs"}

// node is a broker or store of a protocol.
func node(protocol string) *topology.Node {
	n := &topology.Node{Name: "the." + protocol, Kind: topology.Store, Protocol: protocol}
	if !slices.Contains([]string{"postgres", "redis", "s3"}, protocol) {
		n.Kind, n.Brokers = topology.Broker, 1
	}
	return n
}

// bed is one engine in containers, on a stack of its own. Its context ends before the test's
// patience does.
type bed struct {
	stack  *stack.Stack
	node   *topology.Node
	engine engine.Engine
	ctx    context.Context
}

func up(t *testing.T, n *topology.Node, more func(*stack.Options)) bed {
	t.Helper()
	opt := stack.Options{
		Topology: &topology.Topology{Nodes: []*topology.Node{n}}, Engines: "containers",
		Dir: t.TempDir(), Run: t.Name(),
	}
	if more != nil {
		more(&opt)
	}
	s, err := stack.Up(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		nothingIsLeft(t)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return bed{s, n, s.Engine(n.Name), ctx}
}

// dialer reaches the engine as the audit does, over no proxy.
func (b bed) dialer() wire.Dialer {
	return b.stack.Fabric().Dialer(topology.Wire{From: wire.AuditFrom, To: b.node.Name}, 0)
}

// addresses are where the engine listens.
func (b bed) addresses() []string { return b.dialer().Endpoints() }

// do fails the test where a step does.
func (b bed) do(t *testing.T, steps ...func(context.Context) error) {
	t.Helper()
	for i, step := range steps {
		if err := step(b.ctx); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
}

// nothingIsLeft looks for what carries the label of the test's run.
func nothingIsLeft(t *testing.T) {
	t.Helper()
	for _, kind := range []string{"container", "network", "volume"} {
		args := []string{kind, "ls", "--quiet", "--filter", "label=faultline.run=" + t.Name()}
		if kind == "container" {
			args = append(args, "--all")
		}
		out, err := exec.Command("docker", args...).CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "" {
			t.Errorf("%s left behind: %s %v", kind, out, err)
		}
	}
}
