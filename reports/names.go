package reports

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/faultline-sim/faultline/topology"
)

// Names knows the short names of nodes: for each the shortest dotted suffix that no other node has.
// The zero value shortens nothing.
type Names struct {
	short map[string]string
	full  []string // those that have a short name, the longest first
}

// ShortNames gives nodes their short names; full are the full names of all nodes of a topology.
func ShortNames(full []string) Names {
	var t topology.Topology
	for _, name := range slices.Compact(slices.Sorted(slices.Values(full))) {
		t.Nodes = append(t.Nodes, &topology.Node{Name: name})
	}
	n := Names{short: map[string]string{}}
	for _, node := range t.Nodes {
		if short := t.Short(node.Name); short != node.Name {
			n.short[node.Name] = short
		}
	}
	n.full = slices.SortedFunc(maps.Keys(n.short), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	return n
}

// namesOf are the short names of a report: of its topology's nodes, or of those that its tables
// name when it does not list them.
func namesOf(r Report) Names {
	full := slices.Clone(r.Nodes)
	if len(full) == 0 {
		for _, e := range r.Engines {
			full = append(full, e.Node)
		}
		for _, f := range r.Flows {
			for _, s := range f.Sinks {
				full = append(full, s.Node)
			}
		}
	}
	return ShortNames(full)
}

// In is a text with every full name of a node in it made short.
func (n Names) In(text string) string {
	if len(n.full) == 0 || !strings.Contains(text, ".") {
		return text
	}
	var b strings.Builder
	inside := false // a word that has begun
	for i := 0; i < len(text); {
		if name := n.at(text[i:]); name != "" && !inside {
			b.WriteString(n.short[name])
			i += len(name)
			inside = true
			continue
		}
		inside = ofName(text[i]) || text[i] == '.'
		b.WriteByte(text[i])
		i++
	}
	return b.String()
}

// at is the longest full name that a text begins with and that ends where its word does, or "".
func (n Names) at(text string) string {
	for _, name := range n.full {
		if rest, ok := strings.CutPrefix(text, name); ok && (rest == "" || !ofName(rest[0])) {
			return name
		}
	}
	return ""
}

// ofName says that a byte goes on with a segment of a name.
func ofName(b byte) bool {
	return b == '_' || b == '-' || b >= 0x80 || unicode.IsLetter(rune(b)) ||
		unicode.IsDigit(rune(b))
}
