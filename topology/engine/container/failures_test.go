//go:build containers

package container_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/container"
	"github.com/faultline-sim/faultline/topology/stack"
)

// occupied makes an engine whose port somebody else has.
func occupied(t *testing.T) func(engine.Config) (engine.Engine, error) {
	return func(cfg engine.Config) (engine.Engine, error) {
		port, err := cfg.Host.Port(0)
		if err != nil {
			return nil, err
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { l.Close() })
		return container.New(cfg)
	}
}

func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		node  *topology.Node
		image string
		more  func(*stack.Options)
		is    error
		says  string
	}{
		"image/cannot be pulled": {
			node("redis"), "127.0.0.1:9/nobody/nothing:1", nil, container.ErrNoImage,
			`"127.0.0.1:9/nobody/nothing:1"`,
		},
		"port/taken": {
			node("redis"), "", func(o *stack.Options) { o.NewEngine = occupied(t) },
			container.ErrPortTaken, "publish 127.0.0.1:",
		},
		"container/ends at its start": {
			node("mqtt"), "postgres:15", nil, container.ErrDied,
			"postgres:15 with exit code 1; its last",
		},
		"container/speaks another protocol": {
			node("s3"), "redis:7.4", func(o *stack.Options) { o.ReadyWithin = 5 * time.Second },
			container.ErrNotReady, "for a list of buckets over ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.node.Image = c.image
			opt := stack.Options{
				Topology: &topology.Topology{Nodes: []*topology.Node{c.node}}, Dir: t.TempDir(),
				Engines: "containers", Run: t.Name(),
			}
			if c.more != nil {
				c.more(&opt)
			}
			_, err := stack.Up(t.Context(), opt)
			var p *engine.Problem
			if !errors.Is(err, c.is) || !errors.As(err, &p) || p.Hint() == "" {
				t.Errorf("got %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
			t.Log(err)
			nothingIsLeft(t)
		})
	}
}
