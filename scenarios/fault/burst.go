package fault

import (
	"context"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/scenarios"
)

// raised is a flow's higher load. The plan holds its arrivals already; here its bite is counted:
// the messages offered while it lasts.
type raised struct{ *tally }

func burst(s Stage, f *scenarios.Fault) Injection {
	return raised{count(s, func(e *history.Event, after bool) bool {
		return !after && e.Kind == history.Produce && e.Outcome == history.None && e.Flow == f.Flow
	})}
}

func (r raised) Heal(context.Context) error {
	r.healed()
	return nil
}
