//go:build containers

package container_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/stack"
	"github.com/faultline-sim/faultline/topology/wire"
)

// node is a broker or store of a protocol.
func node(protocol string) *topology.Node {
	n := &topology.Node{Name: "the." + protocol, Kind: topology.Store, Protocol: protocol}
	if protocol == "kafka" || protocol == "mqtt" {
		n.Kind, n.Brokers = topology.Broker, 1
	}
	return n
}

// bed is one engine in containers on a stack of its own.
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
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return bed{s, n, s.Engine(n.Name), ctx}
}

// dial reaches the engine as the audit does.
func (b bed) dial(ctx context.Context) (net.Conn, error) {
	w := topology.Wire{From: wire.AuditFrom, To: b.node.Name}
	return b.stack.Fabric().Dialer(w, 0).Dial(ctx)
}

// say writes lines to a Redis server and gives its first answer to each.
func (b bed) say(ctx context.Context, lines ...string) ([]string, error) {
	c, err := b.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	in := bufio.NewReader(c)
	var answers []string
	for _, l := range lines {
		if _, err := fmt.Fprintf(c, "%s\r\n", l); err != nil {
			return answers, err
		}
		a, err := in.ReadString('\n')
		if err != nil {
			return answers, err
		}
		if strings.HasPrefix(a, "$") && a != "$-1\r\n" {
			if a, err = in.ReadString('\n'); err != nil {
				return answers, err
			}
		}
		answers = append(answers, strings.TrimSpace(a))
	}
	return answers, nil
}
