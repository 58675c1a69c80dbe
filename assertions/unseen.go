package assertions

import (
	"fmt"
	"slices"
)

// unseen says that a node runs code of the user's own, so that the history has no events of what
// happens inside it. What only such events could show is unknown.
func (l *Ledger) unseen(node string) bool { return l.code[node] }

// insideOf is what would be needed to judge something that happens inside an unseen node.
func insideOf(node string) string {
	return fmt.Sprintf("a look inside %s: it runs code of its own, which records nothing", node)
}

// bridges are the hops over a flow's unseen nodes: a message that went in and came out went
// through. Each is a hop from what stands before the node on a path to it, or from it to what stands behind.
func (l *Ledger) bridges(f *flowLedger) map[string][]string {
	next := map[string][]string{}
	for _, path := range f.route.flow.Paths {
		for i := 1; i < len(path); i++ {
			if l.unseen(path[i].Node) || l.unseen(path[i-1].Node) {
				from, to := vertex(path[i-1]), vertex(path[i])
				next[from] = append(next[from], to)
			}
		}
	}
	return next
}

// untimed is the first leg of a flow at which messages were found and none was seen to arrive, as
// behind an unseen node that writes to a store; "" for none. How long they took is not known.
func (f *flowLedger) untimed() string {
	for j, leg := range f.route.legs {
		found, seen := false, false
		for i := range f.size {
			state := f.legRows[j].get(i).state
			found = found || state&foundThere != 0
			seen = seen || state&arrived != 0
		}
		if found && !seen {
			return leg.name()
		}
	}
	return ""
}

// unseenDeadLetters says that an unseen node, or the broker itself, dead-letters what is on its way
// to a leg: that a message is found in the channel is all there is to show it.
func (l *Ledger) unseenDeadLetters(f *flowLedger, leg int) bool {
	return slices.ContainsFunc(l.routes.deadLetters(), func(d deadLetter) bool {
		return (d.native || l.unseen(d.node)) && f.route.below[d.node]&(1<<leg) != 0
	})
}
