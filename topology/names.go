package topology

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/faultline-sim/faultline/topology/diag"
)

// JoinName is the dotted name of segments; a segment that a reader could mistake (one with dots,
// slashes, quotes, stars, brackets or arrows in it, or with blanks around it) stands in double
// quotes, with \" and \\ inside. SplitName takes it apart again.
func JoinName(segments ...string) string {
	quoted := make([]string, len(segments))
	for i, s := range segments {
		quoted[i] = quoteSegment(s)
	}
	return strings.Join(quoted, ".")
}

var segmentEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func quoteSegment(s string) string {
	odd := s == "" || strings.ContainsAny(s, "./\\\"*[]\n\r\t") ||
		strings.Contains(s, "->") || strings.TrimSpace(s) != s
	if !odd {
		return s
	}
	return `"` + segmentEscapes.Replace(s) + `"`
}

// SplitName is the segments of a dotted name, quotes taken off.
func SplitName(name string) []string {
	var segments []string
	for _, part := range splitOutside(name, ".") {
		segments = append(segments, unquoteSegment(strings.TrimSpace(part)))
	}
	return segments
}

func unquoteSegment(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	var b strings.Builder
	escaped := false
	for _, r := range s[1 : len(s)-1] {
		if r == '\\' && !escaped {
			escaped = true
			continue
		}
		escaped = false
		b.WriteRune(r)
	}
	return b.String()
}

// splitOutside splits s at sep wherever sep stands outside double quotes.
func splitOutside(s, sep string) []string {
	var parts []string
	for {
		i := indexOutside(s, sep)
		if i < 0 {
			return append(parts, s)
		}
		parts, s = append(parts, s[:i]), s[i+len(sep):]
	}
}

// indexOutside is where sep first stands in s outside double quotes, or −1. A quote opens only at
// the beginning of a segment, so that a quote in the middle of a word is an ordinary character.
func indexOutside(s, sep string) int {
	if !strings.Contains(s, `"`) {
		return strings.Index(s, sep)
	}
	inside, begin := false, true
	for i := 0; i < len(s); i++ {
		switch {
		case inside && s[i] == '\\':
			i++
		case inside:
			inside = s[i] != '"'
		case s[i] == '"' && begin && closes(s[i:]):
			inside = true
		case strings.HasPrefix(s[i:], sep):
			return i
		}
		begin = !inside && i < len(s) && (s[i] == '.' || s[i] == ' ' || s[i] == '>')
	}
	return -1
}

// closes says that the quote s begins with has an end.
func closes(s string) bool {
	for i := 1; i < len(s); i++ {
		if s[i] == '\\' {
			i++
		} else if s[i] == '"' {
			return true
		}
	}
	return false
}

// NameError says why a name stands for no node, or for several.
type NameError struct {
	Name       string
	Candidates []string // the nodes it could stand for; empty when there is none
	Nearest    string   // the text about accepted names, "" when Candidates are given
}

// Error names the candidates.
func (e *NameError) Error() string {
	if len(e.Candidates) > 0 {
		return fmt.Sprintf("node %q is ambiguous, it could be %s",
			e.Name, strings.Join(e.Candidates, " or "))
	}
	return fmt.Sprintf("node %q is not in the topology, %s", e.Name, e.Nearest)
}

// Resolve is the full name of the node that name stands for: the name itself, or any dotted suffix
// that only one node has. The error is a *NameError.
func (t *Topology) Resolve(name string) (string, error) {
	want := SplitName(name)
	full := JoinName(want...)
	var found []string
	for _, n := range t.Nodes {
		if n.Name == full {
			return full, nil
		}
		if hasSuffix(SplitName(n.Name), want) {
			found = append(found, n.Name)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", &NameError{Name: name, Nearest: t.nearestNode(name)}
	default:
		slices.Sort(found)
		return "", &NameError{Name: name, Candidates: found}
	}
}

func hasSuffix(segments, suffix []string) bool {
	return len(suffix) <= len(segments) && slices.Equal(segments[len(segments)-len(suffix):], suffix)
}

// nearestNode lists the nodes by full name, with the nearest full or short one.
func (t *Topology) nearestNode(name string) string {
	var full, all []string
	for _, n := range t.Nodes {
		full = append(full, n.Name)
		segments := SplitName(n.Name)
		for i := range segments {
			all = append(all, JoinName(segments[i:]...))
		}
	}
	if children := t.below(name); len(children) > 0 {
		return fmt.Sprintf("it is a box with the nodes %s", strings.Join(children, ", "))
	}
	text := diag.Expected(name, full)
	if near := diag.Nearest(name, all); near != "" && !strings.Contains(text, "did you mean") {
		text += fmt.Sprintf("; did you mean %q", near)
	}
	return text
}

// below is the nodes inside a box.
func (t *Topology) below(box string) []string {
	var inside []string
	want := SplitName(box)
	for _, n := range t.Nodes {
		segments := SplitName(n.Name)
		for end := len(want); end < len(segments); end++ {
			if slices.Equal(segments[end-len(want):end], want) {
				inside = append(inside, n.Name)
				break
			}
		}
	}
	return inside
}

// Short is the shortest dotted suffix of a node's full name that stands for it alone; a name that
// is not a node's comes back as it is.
func (t *Topology) Short(full string) string {
	segments := SplitName(full)
	for i := len(segments) - 1; i > 0; i-- {
		short := JoinName(segments[i:]...)
		if found, err := t.Resolve(short); err == nil && found == full {
			return short
		}
	}
	return full
}

// ShortRef is a channel reference with its node's short name.
func (t *Topology) ShortRef(ref string) string {
	return t.Short(ChannelNode(ref)) + "/" + ChannelName(ref)
}

// Selected is a node, or one replica of it, that a pattern means.
type Selected struct {
	Node    *Node
	Replica int // −1 is all of them
}

var replicaPattern = regexp.MustCompile(`^(.*)\[(\d+)\]$`)

// Select is what a pattern means: a node's name or suffix, a pattern in which * stands for any
// characters ("data_core.*"), either with one replica behind it ("worker1[0]"). Nodes come in the
// topology's order. A pattern that means nothing is an error.
func (t *Topology) Select(pattern string) ([]Selected, error) {
	name, replica := strings.TrimSpace(pattern), -1
	if m := replicaPattern.FindStringSubmatch(name); m != nil {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			return nil, fmt.Errorf("replica in %q is out of range", pattern)
		}
		name, replica = m[1], n
	}
	var found []Selected
	if !strings.Contains(name, "*") {
		full, err := t.Resolve(name)
		if err != nil {
			return nil, err
		}
		found = []Selected{{Node: t.Node(full), Replica: replica}}
	}
	for _, n := range t.Nodes {
		if strings.Contains(name, "*") && matchesSuffix(n.Name, name) {
			found = append(found, Selected{Node: n, Replica: replica})
		}
	}
	if len(found) == 0 {
		return nil, &NameError{Name: pattern, Nearest: t.nearestNode(name)}
	}
	for _, s := range found {
		if members := s.Node.Members(); replica >= members {
			return nil, fmt.Errorf("%q names replica %d, %s has %d, counted from 0",
				pattern, replica, s.Node.Name, members)
		}
	}
	return found, nil
}

// Members is how many there are of the node: a fleet's members, a broker's cluster, replicas.
func (n *Node) Members() int {
	switch n.Kind {
	case Fleet:
		return n.Count
	case Broker:
		return max(1, n.Brokers)
	default:
		return max(1, n.Replicas)
	}
}

// matchesSuffix says that the full name, or a dotted suffix of it, matches a pattern with stars.
func matchesSuffix(full, pattern string) bool {
	quoted := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*")
	match, err := regexp.Compile("^(?s:" + quoted + ")$")
	if err != nil {
		return false
	}
	segments := SplitName(full)
	for i := range segments {
		if match.MatchString(JoinName(segments[i:]...)) {
			return true
		}
	}
	return false
}
