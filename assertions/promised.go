package assertions

import (
	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
)

// A row is no excuse by itself: a message has rightly ended only where the promise says that it may end
// so. What the system as built does beside its promise is a loss.

// endingRow is the place of a row that ends a message.
type endingRow struct {
	kind                history.Kind
	node, handler, step string
}

// promises says whether the promise lets a message end by a row: dropped by that condition, too old for
// that handler, or dead-lettered by it.
func (r *routes) promises(e *history.Event) bool {
	k := endingRow{e.Kind, e.Node, e.Handler, e.Step}
	if k.kind != history.Filter {
		k.step = ""
	}
	yes, known := r.endings[k]
	if !known {
		yes = r.allows(k)
		r.endings[k] = yes
	}
	return yes
}

func (r *routes) allows(k endingRow) bool {
	if k.kind == history.DeadLetter {
		for _, d := range r.deadLetters() {
			if d.node == k.node && (d.handler == k.handler || k.handler == "") {
				return true
			}
		}
		return false
	}
	n := r.topology.Node(k.node)
	if n == nil || n.Handler(k.handler) == nil {
		return false
	}
	h := n.Handler(k.handler)
	if k.kind == history.Expire {
		return TTLOf(r.topology, h) > 0
	}
	for s := range h.Steps() {
		if s.Name == k.step && s.Kind == topology.When && s.Else == "filter" {
			return true
		}
	}
	return false
}
