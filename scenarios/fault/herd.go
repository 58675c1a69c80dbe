package fault

import (
	"context"
	"fmt"

	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/simulators"
)

// stampede is the connections that a share of a fleet lost at once. They are its bite. There is
// nothing to heal: coming back is the members' own business, and part of the recovery.
type stampede int

func herd(s Stage, node string, f *scenarios.Fault) (Injection, error) {
	crowd, ok := s.Simulator(node).(simulators.Crowd)
	if !ok {
		return nil, fmt.Errorf("node %q is not a fleet", node)
	}
	members := simulators.Members{Share: f.Share, Only: only(f)}
	if f.Login {
		forgetful, ok := crowd.(simulators.Forgetful)
		if !ok {
			return nil, fmt.Errorf("members of %q have no tokens to lose", node)
		}
		forgetful.Forget(members)
	}
	return stampede(crowd.Disconnect(members)), nil
}

func (h stampede) Bite() int64              { return int64(h) }
func (stampede) Heal(context.Context) error { return nil }
func (stampede) Close()                     {}
