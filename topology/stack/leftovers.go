package stack

import (
	"context"
	"errors"
	"fmt"

	"github.com/faultline-sim/faultline/topology/engine/container"
)

// Leftover is a container, network or volume of a run that no longer lives.
type Leftover = container.Leftover

// Leftovers are what runs that no longer live left in Docker, in the order in which it can be
// removed; none where no daemon answers.
func Leftovers(ctx context.Context) ([]Leftover, error) {
	all, err := container.Leftovers(ctx)
	if errors.Is(err, container.ErrNoDaemon) || errors.Is(err, container.ErrNoPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for what runs left in Docker: %w", err)
	}
	return all, nil
}
