package container

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/faultline-sim/faultline/topology/features"
)

// DisconnectAll has the kernel reset the members' connections with clients, and says how many there
// were. Those between members stay.
func (e *Engine) DisconnectAll(ctx context.Context) (int, error) {
	if err := Unable(features.DisconnectAll); err != nil {
		return 0, fmt.Errorf("disconnect clients of %s: %w", e.info.Name, err)
	}
	if !e.running {
		return 0, fmt.Errorf("disconnect clients: %s is stopped", e.info.Name)
	}
	var n atomic.Int64
	err := e.each(func(m *member, c *made) error {
		dropped, err := c.disconnect(ctx, e.product.port)
		n.Add(int64(dropped))
		if err != nil {
			return fmt.Errorf("disconnect clients of container %q: %w", m.name, err)
		}
		return nil
	})
	return int(n.Load()), err
}

// disconnect kills the sockets of a port and counts them. A kernel that cannot kill sockets kills
// none, and says nothing.
func (c *made) disconnect(ctx context.Context, port int) (int, error) {
	sockets := []string{"state", "established", "sport", "=", ":" + strconv.Itoa(port)}
	open, err := c.inside(ctx, append([]string{"ss", "--tcp", "--numeric", "--no-header"},
		sockets...)...)
	if err != nil || strings.TrimSpace(open) == "" {
		return 0, err
	}
	killed, err := c.inside(ctx, append([]string{"ss", "--kill", "--tcp", "--numeric", "--no-header"},
		sockets...)...)
	if err != nil {
		return 0, err
	}
	n := strings.Count(killed, "\n")
	if n == 0 {
		return 0, errors.New("this kernel does not end other programs' connections " +
			"(CONFIG_INET_DIAG_DESTROY)")
	}
	return n, nil
}
