//go:build !linux

package process

import (
	"context"
	"errors"

	"github.com/faultline-sim/faultline/topology/engine"
)

// family is empty where other processes' environments cannot be read: the group is all there is.
func (c *child) family() ([]member, error) { return nil, nil }

// frozen takes the kernel at its word.
func (c *child) frozen() (bool, error) { return true, nil }

// Usage is known on Linux only.
func (e *Engine) Usage(context.Context) (engine.Usage, error) {
	return engine.Usage{}, errors.New("measure a child process: " + errors.ErrUnsupported.Error())
}
