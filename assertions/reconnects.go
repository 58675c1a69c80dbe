package assertions

import (
	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology/policy"
)

// Reconnects judges that the members of a fleet do not come back to a broker all at once.
//
// Definition: reconnects of many members do not fall into one instant: see herds. The callers are the
// members of the fleet on one wire, a try is the first connection after one was lost, and the pause is
// the first one of the session's reconnect backoff. Who comes back later than that has waited for
// something else, such as a broker that was down, and is not looked at.
//
// Evidence: NodeState rows, connect and disconnect. Valid: members came back, and did not herd.
// Untested: nobody came back. Invalid: they did (herd). Unknown: events were shed.
//
// It cannot see tries to connect that fail, for they leave no row. Cost: a map entry a member, and 88
// bytes a reconnect. Source: Brooker, Exponential Backoff and Jitter.
func Reconnects(node string) Check {
	return Check{Name: named("retry", node+".reconnect"), Property: "retry", Node: node,
		New: func(l *Ledger, c Context) Checker {
			r := &reconnects{ledger: l, node: node, lost: map[connection]int64{}, herds: newHerds()}
			if n := c.Topology.Node(node); n != nil {
				r.backoff = n.Session.Reconnect
			}
			return r
		}}
}

type reconnects struct {
	ledger  *Ledger
	node    string
	backoff policy.Backoff
	lost    map[connection]int64 // when it was, of those that are not back
	herds   herds
	back    int
}

// connection is one member's to one broker.
type connection struct {
	wire    string
	replica int32
}

func (c *reconnects) Kinds() []history.Kind { return []history.Kind{history.NodeState} }

func (c *reconnects) Observe(e *history.Event) {
	if e.Node != c.node {
		return
	}
	k := connection{e.Wire, e.Replica}
	switch e.Reason {
	case "disconnect":
		c.lost[k] = e.At
	case "connect":
		at, ok := c.lost[k]
		if !ok {
			return
		}
		delete(c.lost, k)
		c.back++
		least, most := c.backoff.Pause(1)
		c.herds.add(herdKey{e.Wire, 1, least, most}, again{caller: caller{replica: e.Replica},
			failed: at, began: e.At})
	}
}

func (c *reconnects) Verdict() Verdict {
	var r ruling
	r.sound(c.ledger)
	if c.back == 0 {
		r.trial("members of %s that lose a connection and come back", c.node)
	}
	for _, h := range c.herds.find(c.ledger) {
		h.anomaly.Where, h.anomaly.Message = h.key.step, -1
		r.anomaly(h.anomaly)
	}
	r.count("reconnects", c.back, "connections")
	return r.verdict("%d connections were lost and came back", c.back)
}
