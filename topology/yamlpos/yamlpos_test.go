package yamlpos

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/topology/diag"
)

// bomb is an alias bomb: each line is ten times the one before it.
func bomb() string {
	var b strings.Builder
	b.WriteString("a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n")
	for c := 'b'; c <= 'h'; c++ {
		ten := strings.Repeat("*"+string(c-1)+", ", 10)
		fmt.Fprintf(&b, "%c: &%c [%s]\n", c, c, strings.TrimSuffix(ten, ", "))
	}
	return b.String()
}

func TestRefusedDocuments(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{"document/empty/refused", "", "f.yaml:1:1: file has no document [empty]\n"},
		{"document/comment only/refused", "# x\n", "f.yaml:1:1: file has no document [empty]\n"},
		{"document/second/refused", "a: 1\n---\nb: 2\n",
			"f.yaml:2:1: a second document begins here, one file holds one document [second-document]\n"},
		{"document/not text/refused", "a: \xff\n", "f.yaml:1:1: file is not UTF-8 text [encoding]\n"},
		{"document/too large/refused", strings.Repeat("#", MaxBytes+1),
			"f.yaml:1:1: file has 1048577 bytes, at most 1048576 are read [too-large]\n"},
		{"document/tab/refused", "a:\n\tb: 1\n",
			"f.yaml:2:1: found character that cannot start any token [syntax]\n"},
		{"document/self alias/refused", "a: &x {b: *x}\n",
			"f.yaml:1:4: anchor \"x\" contains itself [self-alias]\n"},
		{"document/alias bomb/refused", bomb(),
			"f.yaml:5:36: document grows past 100000 values when its aliases are expanded [alias-bomb]\n"},
		{"document/too deep/refused", strings.Repeat("[", 70) + strings.Repeat("]", 70),
			"f.yaml:1:66: values are nested deeper than 64 levels [too-deep]\n"},
		{"document/duplicate keys/each told", "a: 1\na: 2\nb: {c: 1, c: 2}\n",
			"f.yaml:2:1: key \"a\" is already set at line 1 [duplicate-key]\n" +
				"f.yaml:3:11: key \"c\" is already set at line 3 [duplicate-key]\n"},
		{"document/merge key/refused", "a: &a {b: 1}\nc:\n  <<: *a\n",
			"f.yaml:3:3: merge keys (<<) are not read, write the fields out [merge-key]\n"},
		{"document/list as key/refused", "? [a, b]\n: 1\n",
			"f.yaml:1:3: a key is a plain word, this is a list [wrong-type]\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var diags diag.List
			Parse("f.yaml", []byte(tt.src), &diags)
			if diff := cmp.Diff(tt.want, diags.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPlaces says where values stand, whatever surrounds them.
func TestPlaces(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{"place/plain/first column counts 1", "a: {b: x}\n", "1:8"},
		{"place/unicode/columns are characters", "a: {키: 값, b: x}\n", "1:14"},
		{"place/CRLF/lines as seen", "c: 1\r\na:\r\n  b: x\r\n", "3:6"},
		{"place/byte order mark/not counted", "\uFEFFa: {b: x}\n", "1:8"},
		{"place/alias/where it is used", "c: &x y\na: {b: *x}\n", "2:8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var diags diag.List
			p := Parse("f.yaml", []byte(tt.src), &diags).Get("a").Get("b").Position()
			if got := fmt.Sprintf("%d:%d", p.Line, p.Column); got != tt.want || !diags.Empty() {
				t.Errorf("stands at %s, want %s; %s", got, tt.want, diags.String())
			}
		})
	}
}

func TestScalars(t *testing.T) {
	tests := []struct {
		name, text string
		read       func(Value) any
		want       any
		mistake    string
	}{
		{"duration/unit/read", "1m30s", duration, 90 * time.Second, ""},
		{"duration/bare number/refused", "30", duration, time.Duration(0),
			`"30" is not a duration, write a number with ns, us, ms, s, m or h; ` +
				`did you mean "30ms" or "30s" [wrong-unit]`},
		{"duration/negative/refused", "-3s", duration, time.Duration(0),
			`"-3s" is negative [out-of-range]`},
		{"share/percent/read", "99.9%", share, 0.9990000000000001, ""},
		{"share/number/read", "0.25", share, 0.25, ""},
		{"share/above all/refused", "101%", share, 0.0,
			`"101%" is out of range, accepted: 0% to 100%, or 0 to 1 [out-of-range]`},
		{"rate/per minute/per second", "30/m", rateOf, 0.5, ""},
		{"rate/no unit/refused", "30", rateOf, 0.0,
			`"30" is not a rate, write it as 200/s, 30/m or 10/h [wrong-unit]`},
		{"int/in range/read", "7", number, 7, ""},
		{"int/out of range/refused", "11", number, 0,
			"11 is out of range, accepted: 1 to 10 [out-of-range]"},
		{"int/fraction/refused", "1.5", number, 0,
			`expected a whole number, found "1.5" [wrong-type]`},
		{"bool/true/read", "true", truth, true, ""},
		{"bool/quoted/refused", `"true"`, truth, false,
			`expected true or false, found "true" [wrong-type]`},
		{"text/list/refused", "[a]", word, "", "expected a text, found a list [wrong-type]"},
		{"text/nothing/refused", "", word, "", "expected a text, found empty [wrong-type]"},
		{"any/nested/as JSON", `{a: [1, "1", true, null]}`, Value.Any,
			map[string]any{"a": []any{1.0, "1", true, nil}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var diags diag.List
			got := tt.read(Parse("f.yaml", []byte("v: "+tt.text+"\n"), &diags).Get("v"))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			mistake := strings.TrimSpace(strings.TrimPrefix(diags.String(), "f.yaml:1:4: "))
			mistake = strings.TrimPrefix(mistake, "f.yaml:1:3: ")
			if diff := cmp.Diff(tt.mistake, mistake); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func duration(v Value) any { return v.Duration() }
func share(v Value) any    { return v.Share() }
func rateOf(v Value) any   { return v.Rate() }
func number(v Value) any   { return v.Int(1, 10) }
func truth(v Value) any    { return v.Bool() }
func word(v Value) any     { return v.String() }

// TestAbsent reads all of a value that is not there: nothing, and no mistake.
func TestAbsent(t *testing.T) {
	var v Value
	for _, read := range []func(Value) any{duration, share, rateOf, number, truth, word} {
		read(v)
	}
	v.Fields(nil)
	if v.Present() || v.Any() != nil || v.Entries() != nil || v.Under(v, "a").Present() {
		t.Error("an absent value has something in it")
	}
}

func TestUnderAndInside(t *testing.T) {
	var diags diag.List
	root := Parse("f.yaml", []byte("a.b: first -> second\n"), &diags)
	e := root.Entries()[0]
	deep := e.Value.Under(e.Key, "x", "y")
	if got := deep.Get("x").Get("y").Text(); got != "first -> second" {
		t.Errorf("under x and y stands %q", got)
	}
	deep.Get("x").Fields(nil)
	e.Value.Inside(len("first -> ")).Errorf("k", "here")
	want := "f.yaml:1:1: unknown key \"y\", none is accepted here [unknown-key]\n" +
		"f.yaml:1:15: here [k]\n"
	if diff := cmp.Diff(want, diags.String()); diff != "" {
		t.Error(diff)
	}
}

// FuzzParse reads anything: no panic, no endless walk, every mistake inside the file.
func FuzzParse(f *testing.F) {
	seeds := []string{
		"", "a: 1", "a: &x {b: *x}", "a: 1\n---\nb: 2", "a: 1\na: 2", "\uFEFFa: 1", "a:\r\n  b: 1\r\n",
		"\ta: 1", "a: {<<: {b: 1}}", "? [a]\n: b", bomb(), "a: |\n  text\n  more\n", "a: 'x'\n",
		"!!binary a", "a: !!float .nan", "%YAML 1.2\n---\na: 1", "- - - a", "a: \"\\u00e9 -> b\"",
	}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		var diags diag.List
		v := Parse("f.yaml", src, &diags)
		if diags.Empty() {
			visit(v)
		}
		lines := strings.Split(string(src), "\n")
		for _, d := range diags.Sorted() {
			if d.Line < 1 || d.Line > len(lines) {
				t.Fatalf("%v: the file has %d lines", d, len(lines))
			}
			if width := len([]rune(lines[d.Line-1])) + 1; d.Column < 1 || d.Column > width {
				t.Fatalf("%v: the line has %d columns", d, width)
			}
		}
	})
}

// visit asks everything of every value.
func visit(v Value) {
	v.Any()
	for _, read := range []func(Value) any{duration, share, rateOf, number, truth, word} {
		read(v)
	}
	v.Inside(len(v.Text())/2).Errorf("k", "inside")
	if v.IsMap() {
		for _, e := range v.Entries() {
			visit(e.Value)
		}
	}
	if v.IsList() {
		for _, item := range v.Items() {
			visit(item)
		}
	}
}
