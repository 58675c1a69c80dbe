// Package diagnose names the wire or node most likely at fault, from the history alone.
//
// It stands in the check step of load → plan → run → check → report. It looks at how operations
// ended, how long they took against the steady phase, who fell silent while those before it still
// sent, and who went down, and tells a cause from its victims by the order in which the topology
// makes one operation wait for another. It never reads Fault or Action events, and names nobody on
// a run where nothing was unwell. It imports no clock, no network, and nothing of runner or
// simulators.
//
// What it cannot tell apart: a store or service with a single dialler that does not answer, and the
// wire to it (the wire is named, unless the node itself said that it went down); and a consumer
// that is frozen, and its wire to the broker.
package diagnose

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
)

// Suspect is a wire or node that may be at fault.
type Suspect struct {
	Where    string            `json:"where"` // a wire "a -> b" or a node, full names
	Node     bool              `json:"node"`  // Where is a node
	Score    float64           `json:"score"` // share of all that no other suspect explains, 0 to 1
	Evidence string            `json:"evidence"`
	Window   assertions.Window `json:"window"` // from the first sign to the last
}

// Diagnose reads a history, in time order, and gives the suspects, the likeliest first; none on a
// clean run.
func Diagnose(events iter.Seq[*history.Event], t *topology.Topology) []Suspect {
	w := newWard(t)
	for e := range events {
		w.observe(e)
	}
	return w.suspects()
}

// blame is what is held against one wire or node.
type blame struct {
	where       string
	node        bool
	weight      float64
	first, last int64
	signs       []string
}

// suspects ranks what no deeper sign explains.
func (w *ward) suspects() []Suspect {
	w.finish()
	blames := map[string]*blame{}
	for _, s := range w.roots() {
		where, node := w.place(s)
		b := blames[where]
		if b == nil {
			b = &blame{where: where, node: node, first: s.first, last: s.last}
			blames[where] = b
		}
		b.weight += s.weight()
		b.first, b.last = min(b.first, s.first), max(b.last, s.last)
		b.signs = append(b.signs, s.describe(w.topology))
	}
	return ranked(blames)
}

func ranked(blames map[string]*blame) []Suspect {
	total := 0.0
	for _, b := range blames {
		total += b.weight
	}
	var all []Suspect
	for _, b := range blames {
		slices.Sort(b.signs)
		all = append(all, Suspect{Where: b.where, Node: b.node, Score: b.weight / total,
			Evidence: strings.Join(slices.Compact(b.signs), "; "),
			Window: assertions.Window{From: time.Duration(b.first), To: time.Duration(b.last) +
				1}})
	}
	slices.SortFunc(all, func(a, b Suspect) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Where, b.Where))
	})
	return all
}

// place decides between a wire and the node at its far end. A far end that answers with errors of
// its own is at fault itself; so is one that said it went down, or one that two diallers have
// trouble with while none is well.
func (w *ward) place(s *sign) (where string, node bool) {
	_, far := ends(s.op.wire)
	switch {
	case s.op.wire == "":
		return s.op.node, true
	case s.answers*2 > s.bad && s.bad > 0 && s.slow <= s.bad:
		return far, true
	case w.wentDown(far, s):
		return far, true
	}
	unwell, well := w.diallers(far, s)
	if unwell >= 2 && well == 0 {
		return far, true
	}
	return s.op.wire, false
}

// wentDown says whether a node said that a replica of it went down around a sign.
func (w *ward) wentDown(node string, s *sign) bool {
	for _, at := range w.downs[node] {
		if at >= s.first-int64(time.Second) && at <= s.last {
			return true
		}
	}
	return false
}

// diallers counts the wires to a node that show a sign of their own at the same time, and those
// that are well then.
func (w *ward) diallers(node string, s *sign) (unwell, well int) {
	state := map[string]bool{}
	for _, other := range w.signs() {
		if _, far := ends(other.op.wire); far != node {
			continue
		}
		if other.significant() && other.overlaps(s) && !w.explained(other) {
			state[other.op.wire] = true
		}
	}
	for _, other := range w.signs() {
		_, far := ends(other.op.wire)
		if far == node && !state[other.op.wire] && other.healthyBetween(s.first, s.last) {
			well++
		}
	}
	return len(state), well
}

// describe is the sign as one line of evidence.
func (s *sign) describe(t *topology.Topology) string {
	var parts []string
	switch {
	case s.down == 1:
		parts = append(parts, "went down once")
	case s.down > 1:
		parts = append(parts, fmt.Sprintf("went down %d times", s.down))
	}
	if s.bad > s.answers {
		parts = append(parts, fmt.Sprintf("%d without a good answer%s", s.bad-s.answers,
			s.reasons()))
	}
	if s.answers > 0 {
		parts = append(parts, fmt.Sprintf("%d answered with an error", s.answers))
	}
	if s.slow > 0 {
		parts = append(parts, fmt.Sprintf("%d slower than %v, in the steady phase 99%% within %v",
			s.slow, s.limit().Round(time.Millisecond), s.p99.Round(time.Millisecond/10)))
	}
	if s.silent > 0 {
		parts = append(parts, fmt.Sprintf("silent for %v while messages came in",
			time.Duration(s.silent)*width))
	}
	return fmt.Sprintf("%s: %s, from %v to %v", s.op.name(t), strings.Join(parts, ", "),
		time.Duration(s.first).Round(time.Millisecond),
		time.Duration(s.last).Round(time.Millisecond))
}

func (s *sign) reasons() string {
	if len(s.why) == 0 {
		return ""
	}
	var names []string
	for reason := range s.why {
		names = append(names, reason)
	}
	slices.Sort(names)
	return " (" + strings.Join(names, ", ") + ")"
}

// ends splits "from -> to".
func ends(wire string) (from, to string) {
	from, to, _ = strings.Cut(wire, " -> ")
	return from, to
}
