package diag

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSorted(t *testing.T) {
	at := func(file string, line, column int) Position {
		return Position{File: file, Line: line, Column: column}
	}
	var l List
	l.Add(at("b.yaml", 1, 1), "k", "third")
	l.Add(at("a.yaml", 2, 5), "k", "second")
	l.Add(at("a.yaml", 2, 1), "k", "first %d", 1)
	l.Add(at("a.yaml", 2, 1), "k", "first %d", 1)
	want := "a.yaml:2:1: first 1 [k]\na.yaml:2:5: second [k]\nb.yaml:1:1: third [k]\n"
	if diff := cmp.Diff(want, l.String()); diff != "" {
		t.Error(diff)
	}
}

func TestAtMostInEachFile(t *testing.T) {
	var l List
	for i := range Most + 10 {
		l.Add(Position{File: "a.yaml", Line: i + 1, Column: 1}, "k", "text")
		l.Add(Position{File: "b.yaml", Line: i + 1, Column: 1}, "k", "text")
	}
	counts := map[string]int{}
	for _, d := range l.Sorted() {
		counts[d.File]++
	}
	if diff := cmp.Diff(map[string]int{"a.yaml": Most, "b.yaml": Most}, counts); diff != "" {
		t.Error(diff)
	}
}

func TestPositionString(t *testing.T) {
	for want, p := range map[string]Position{
		"a.yaml:3:7": {File: "a.yaml", Line: 3, Column: 7},
		"--set":      {File: "--set"},
	} {
		if got := p.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestExpected(t *testing.T) {
	many := make([]string, 20)
	for i := range many {
		many[i] = fmt.Sprintf("w%02d", i)
	}
	tests := []struct {
		name, word string
		accepted   []string
		want       string
	}{
		{"expected/near word/meant", "retyr", []string{"timeout", "retry"},
			`accepted: retry, timeout; did you mean "retry"`},
		{"expected/other case/meant", "KAFKA", []string{"kafka", "mqtt"},
			`accepted: kafka, mqtt; did you mean "kafka"`},
		{"expected/far word/listed only", "zzzzzz", []string{"b", "a", "b"}, "accepted: a, b"},
		{"expected/many words/cut", "zzzzzz", many,
			"accepted: " + strings.Join(many[:12], ", ") + " and 8 more"},
		{"expected/no words/said", "x", nil, "none is accepted here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Expected(tt.word, tt.accepted)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNearestFindsTypos changes one letter of a long word, which must lead back to it.
func TestNearestFindsTypos(t *testing.T) {
	words := []string{"subscribe", "publish", "authenticate", "concurrency", "dead_letter"}
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom(words).Draw(t, "word")
		letters := []rune(word)
		i := rapid.IntRange(0, len(letters)-1).Draw(t, "at")
		letters[i] = rapid.RuneFrom(nil, unicode.Latin).Draw(t, "letter")
		if got := Nearest(string(letters), words); got != word {
			t.Fatalf("nearest to %q is %q, want %q", string(letters), got, word)
		}
	})
}
