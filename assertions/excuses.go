package assertions

import (
	"math"

	"github.com/faultline-sim/faultline/assertions/history"
)

// excuses are the times at which a handler had a reason to wait longer than its backoff: a breaker
// of it was not closed, or a fault was on its node.
type excuses struct {
	node, handler string
	breakers      map[breakerKey]int64 // when it was last not closed; never is absent
	faults        map[string]int64     // by name, when it was last in force
}

// breakerKey is one breaker of the handler.
type breakerKey struct {
	replica int32
	step    string
}

// still marks what has not ended yet.
const still = int64(math.MaxInt64)

func newExcuses(node, handler string) excuses {
	return excuses{node: node, handler: handler,
		breakers: map[breakerKey]int64{}, faults: map[string]int64{}}
}

func (x *excuses) observe(e *history.Event) {
	switch {
	case e.Node != x.node:
	case e.Kind == history.Breaker && e.Handler == x.handler:
		k := breakerKey{e.Replica, e.Step}
		x.breakers[k] = still
		if e.Reason == "closed" {
			x.breakers[k] = e.At
		}
	case e.Kind == history.Fault && e.Reason == "inject":
		x.faults[e.Step] = still
	case e.Kind == history.Fault && e.Reason == "heal":
		x.faults[e.Step] = e.At
	}
}

// covers says whether a replica had a reason to wait at any time since a given one.
func (x *excuses) covers(replica int32, since int64) bool {
	for k, until := range x.breakers {
		if k.replica == replica && until >= since {
			return true
		}
	}
	for _, until := range x.faults {
		if until >= since {
			return true
		}
	}
	return false
}
