// Package cloud simulates partner clouds: services outside our control, with a quota, outages of
// their own, an inbox that answers before the work and webhooks with their own retry policy.
//
// It acts in the run step of load → plan → run → check → report. A cloud is a service with a door
// in front: what it is declared to do it does by the same machinery; this package adds only what
// our own services do not have. It may not import fleets, scenarios or checkers.
package cloud

import (
	"fmt"

	"github.com/faultline-sim/faultline/simulators/service"
	"github.com/faultline-sim/faultline/simulators/service/program"
)

// Cloud is one partner cloud. The quota is the cloud's as a whole, over all its replicas; requests
// beyond it are answered 429.
type Cloud struct {
	*service.Service
}

// New makes a cloud that does not run yet.
func New(c service.Config) (*Cloud, error) {
	if q := c.Node.Quota; q != nil {
		c.Admit = program.NewLimiter(q).TryAcquirePermit
	}
	s, err := service.New(c)
	if err != nil {
		return nil, fmt.Errorf("make cloud: %w", err)
	}
	return &Cloud{Service: s}, nil
}
