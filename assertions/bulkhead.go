package assertions

import (
	"fmt"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
)

// Bulkhead judges that no more run at once than declared.
//
// Definition: within one replica, at no time do more runs of the handler (or tries of the step)
// overlap than the bulkhead's concurrent limit.
//
// Evidence: the rows of the handler or step, each from At − Duration to At; those refused by the
// bulkhead, a breaker or a rate limit did not run. Valid: there were as many at once as may be,
// or some were refused, and never too many. Untested: there were never so many. Invalid: there were too
// many (overfull). Unknown: events were shed.
//
// It cannot see how many waited, only the refusals. Overlaps count at the ends of runs, where the
// count of a set of spans has its peaks. Cost: one counter for each run that ended within the last
// run's span. Source: Nygard, Release It!, Bulkheads.
func Bulkhead(node, handler, step string) Check {
	return Check{Name: named("bulkhead", place(node, handler, step)), Property: "bulkhead", Node: node,
		New: func(l *Ledger, c Context) Checker {
			b := &bulkhead{ledger: l, node: node, handler: handler, step: step, limit: 1,
				recent: map[int32]*overlap{}, batch: isBatch(c.Topology, node, handler)}
			if d := policySet(c.Topology, node, handler, step).Bulkhead; d != nil {
				b.limit = max(1, d.Concurrent)
			}
			return b
		}}
}

// isBatch says whether a handler takes messages together, so that one run makes a row for each.
func isBatch(t *topology.Topology, node, handler string) bool {
	n := t.Node(node)
	if n == nil {
		return false
	}
	h := n.Handler(handler)
	return h != nil && h.Batch != nil
}

// place is "node.handler", or "node.handler/step".
func place(node, handler, step string) string {
	name := node + "." + handler
	if step != "" {
		name += "/" + step
	}
	return name
}

type bulkhead struct {
	ledger              *Ledger
	node, handler, step string
	limit               int
	batch               bool               // one run makes a row for each message of a batch
	recent              map[int32]*overlap // by replica
	r                   ruling
	rows, most, refused int
}

// overlap is the recent ends of runs, oldest first, each with how many runs cover it.
type overlap struct {
	start int64 // of the last run
	ends  []int64
	cover []int
}

// longestOverlap bounds how many ends are remembered; older ones are forgotten.
const longestOverlap = 4096

func (c *bulkhead) Kinds() []history.Kind {
	if c.step == "" {
		return []history.Kind{history.Attempt}
	}
	return []history.Kind{history.Publish, history.Call, history.Store}
}

func (c *bulkhead) Observe(e *history.Event) {
	if e.Node != c.node || e.Handler != c.handler || c.step != "" && e.Step != c.step {
		return
	}
	c.rows++
	if untried(e.Reason) {
		c.refused++
		return
	}
	o := c.recent[e.Replica]
	if o == nil {
		o = &overlap{}
		c.recent[e.Replica] = o
	}
	start := e.At - e.Duration
	if c.batch && o.start == start {
		return
	}
	o.start = start
	n := o.add(start, e.At, c.limit)
	c.most = max(c.most, n)
	if n > c.limit {
		c.r.anomaly(Anomaly{Kind: "overfull", Flow: e.Flow, Message: e.Message,
			Where: place(c.node, c.handler, c.step),
			Text: fmt.Sprintf("replica %d ran %d at once around %v, the limit is %d",
				e.Replica, n, seconds(e.At), c.limit)})
	}
}

// add books one run and gives the most that overlap with it at one time. An end whose count passes
// the limit is forgotten, so that one crowd is told once.
func (o *overlap) add(from, to int64, limit int) (most int) {
	o.ends = append(o.ends, to)
	o.cover = append(o.cover, 0)
	first := len(o.ends)
	for first > 0 && o.ends[first-1] > from {
		first--
		o.cover[first]++
		most = max(most, o.cover[first])
	}
	keep := max(0, len(o.ends)-longestOverlap)
	if most > limit {
		keep = len(o.ends)
	}
	if keep > 0 {
		o.ends = append(o.ends[:0], o.ends[keep:]...)
		o.cover = append(o.cover[:0], o.cover[keep:]...)
	}
	return most
}

// untried says that a row tells of something that was refused before it was tried.
func untried(reason string) bool {
	return reason == "breaker_open" || reason == "bulkhead" || reason == "rate_limit"
}

func (c *bulkhead) Verdict() Verdict {
	c.r.sound(c.ledger)
	if c.most < c.limit && c.refused == 0 {
		c.r.trial("%d runs of %s at once, there were at most %d", c.limit,
			place(c.node, c.handler, c.step), c.most)
	}
	c.r.count("runs", c.rows, "runs")
	c.r.count("most_at_once", c.most, "runs")
	c.r.count("refused", c.refused, "runs")
	return c.r.verdict("at most %d at once of %d allowed, %d refused, over %v",
		c.most, c.limit, c.refused, time.Duration(c.ledger.last).Round(time.Second))
}
