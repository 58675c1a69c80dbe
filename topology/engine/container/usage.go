package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/faultline-sim/faultline/topology/engine"
)

// Usage is what all members use. Memory leaves out what the kernel would give back at once: pages
// of files that nobody uses. A member that is down uses nothing.
func (e *Engine) Usage(ctx context.Context) (engine.Usage, error) {
	var mu sync.Mutex
	var sum engine.Usage
	none := errEnded
	err := e.each(func(m *member, c *made) error {
		u, err := c.usage(ctx)
		if errors.Is(err, errEnded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("measure container %q: %w", m.name, err)
		}
		mu.Lock()
		defer mu.Unlock()
		sum.CPU += u.CPU
		sum.Memory += u.Memory
		none = nil
		return nil
	})
	if err == nil && none != nil {
		err = fmt.Errorf("measure %s: %w", e.info.Name, none)
	}
	return sum, err
}

func (c *made) usage(ctx context.Context) (engine.Usage, error) {
	r, err := c.api.ContainerStats(ctx, c.id, client.ContainerStatsOptions{})
	if err != nil {
		return engine.Usage{}, err
	}
	defer r.Body.Close()
	var s container.StatsResponse
	if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
		return engine.Usage{}, fmt.Errorf("read figures: %w", err)
	}
	memory := s.MemoryStats
	if memory.Usage == 0 {
		return engine.Usage{}, errEnded
	}
	return engine.Usage{
		CPU:    time.Duration(s.CPUStats.CPUUsage.TotalUsage),
		Memory: int64(memory.Usage - min(memory.Usage, idle(memory.Stats))),
	}, nil
}

// idle is what the first and the second version of control groups call it.
func idle(stats map[string]uint64) uint64 {
	if n, ok := stats["total_inactive_file"]; ok {
		return n
	}
	return stats["inactive_file"]
}
