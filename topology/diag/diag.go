// Package diag is a user's mistakes: what is wrong, where, and what to write instead.
//
// It belongs to the load step of load → plan → run → check → report. A mistake in a file is a
// Diagnostic, never a Go error. It may import the standard library and a string metric, no more.
package diag

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Position is a place in a file. Line and Column count from 1, columns in characters; a zero Line
// means the whole file.
type Position struct {
	File   string
	Line   int
	Column int
}

// String is "file:line:column", without the parts that are not known.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Diagnostic is one mistake. Text is lower case and without a full stop; Kind is one word or
// hyphenated words that say which rule was broken ("unknown-key", "wrong-unit" …).
type Diagnostic struct {
	Position
	Text string
	Kind string
}

// String is "file:line:column: text [kind]".
func (d Diagnostic) String() string {
	return fmt.Sprintf("%s: %s [%s]", d.Position, d.Text, d.Kind)
}

// Most is how many diagnostics of one file are kept.
const Most = 50

// List collects diagnostics; the zero value is ready. It is not safe for concurrent use.
type List struct {
	all []Diagnostic
}

// Add puts one diagnostic in the list.
func (l *List) Add(p Position, kind, format string, args ...any) {
	l.all = append(l.all, Diagnostic{Position: p, Kind: kind, Text: fmt.Sprintf(format, args...)})
}

// Append puts all of another list in this one.
func (l *List) Append(other List) { l.all = append(l.all, other.all...) }

// Empty says that nothing is wrong.
func (l *List) Empty() bool { return len(l.all) == 0 }

// Sorted is the diagnostics by file and position, repeated ones once, at most Most a file.
func (l *List) Sorted() []Diagnostic {
	all := slices.Clone(l.all)
	slices.SortStableFunc(all, func(a, b Diagnostic) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	all = slices.Compact(all)
	kept, inFile := all[:0], 0
	for i, d := range all {
		if i == 0 || d.File != all[i-1].File {
			inFile = 0
		}
		inFile++
		if inFile <= Most {
			kept = append(kept, d)
		}
	}
	return kept
}

// String is one diagnostic a line.
func (l *List) String() string {
	var b strings.Builder
	for _, d := range l.Sorted() {
		fmt.Fprintln(&b, d)
	}
	return b.String()
}

// Expected is the tail of a message about a word that is not accepted: the accepted ones (at most
// twelve), then the nearest when one is near.
func Expected(word string, accepted []string) string {
	accepted = slices.Compact(slices.Sorted(slices.Values(accepted)))
	shown := accepted
	if len(shown) > 12 {
		shown = shown[:12]
	}
	tail := "accepted: " + strings.Join(shown, ", ")
	if len(accepted) > len(shown) {
		tail += fmt.Sprintf(" and %d more", len(accepted)-len(shown))
	}
	if len(accepted) == 0 {
		tail = "none is accepted here"
	}
	if near := Nearest(word, accepted); near != "" {
		tail += fmt.Sprintf("; did you mean %q", near)
	}
	return tail
}

// Nearest is the accepted word closest to word, or "" when none is close enough to be meant.
func Nearest(word string, accepted []string) string {
	best, least := "", 1+len([]rune(word))/3
	for _, a := range accepted {
		if d := levenshtein.ComputeDistance(strings.ToLower(word), strings.ToLower(a)); d <= least {
			best, least = a, d-1
		}
	}
	return best
}
