package container

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/faultline-sim/faultline/topology/features"
)

// drops are the rules that let no packet in or out; each chain with its own direction.
var drops = [][]string{
	{"INPUT", "!", "--in-interface", "lo", "--jump", "DROP"},
	{"OUTPUT", "!", "--out-interface", "lo", "--jump", "DROP"},
}

// CutOff drops every packet to and from the members, those between them too, inside their own
// networks: what was sent waits in the senders' kernels, and arrives late after the mending where
// the connection has lived that long.
func (e *Engine) CutOff(ctx context.Context) (func(context.Context) error, error) {
	if err := Unable(features.CutOff); err != nil {
		return nil, fmt.Errorf("cut off %s: %w", e.info.Name, err)
	}
	if !e.running {
		return nil, fmt.Errorf("cut off %s: it is stopped", e.info.Name)
	}
	err := e.each(func(m *member, c *made) error {
		for _, rule := range drops {
			if err := c.rule(ctx, "--insert", rule); err != nil {
				return fmt.Errorf("cut off container %q: %w", m.name, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, e.mend(context.WithoutCancel(ctx)))
	}
	return e.mend, nil
}

// mend takes the rules away. A container that was started since has a new network without them.
func (e *Engine) mend(ctx context.Context) error {
	return e.each(func(m *member, c *made) error {
		for _, rule := range drops {
			err := c.rule(ctx, "--check", rule)
			if err == nil {
				err = c.rule(ctx, "--delete", rule)
			} else if errors.Is(err, errEnded) || strings.Contains(err.Error(), "exit status 1") {
				continue // there is no such rule
			}
			if err != nil {
				return fmt.Errorf("mend container %q: %w", m.name, err)
			}
		}
		return nil
	})
}

func (c *made) rule(ctx context.Context, do string, rule []string) error {
	_, err := c.inside(ctx, append([]string{"iptables", "--wait", do}, rule...)...)
	return err
}
