package yamlpos

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/faultline-sim/faultline/topology/diag"
)

// Text is a scalar as it stands in the file, without a check of its type; "" otherwise.
func (v Value) Text() string {
	r := v.resolve()
	if r.node == nil || r.node.Kind != yaml.ScalarNode || r.Null() {
		return ""
	}
	return r.node.Value
}

// String is a scalar's text; any other shape, and nothing at all, is reported.
func (v Value) String() string {
	if v.node == nil {
		return ""
	}
	if !v.IsScalar() || v.Null() {
		v.wrong("a text")
		return ""
	}
	return v.Text()
}

// IsText says that the value is a text, neither a number nor true, false or nothing.
func (v Value) IsText() bool {
	r := v.resolve()
	return r.node != nil && r.node.Kind == yaml.ScalarNode && r.node.Tag == "!!str"
}

// OneOf is a text that must be one of words.
func (v Value) OneOf(words ...string) string {
	s := v.String()
	if s == "" || slices.Contains(words, s) {
		return s
	}
	v.Errorf("unknown-value", "%q is not accepted here, %s", s, diag.Expected(s, words))
	return ""
}

// Bool is true or false.
func (v Value) Bool() bool {
	switch r := v.resolve(); {
	case r.node == nil:
		return false
	case r.node.Tag == "!!bool":
		return strings.EqualFold(r.node.Value, "true")
	}
	v.wrong("true or false")
	return false
}

// Int is a whole number from least to most.
func (v Value) Int(least, most int) int {
	if v.node == nil {
		return 0
	}
	n, err := strconv.Atoi(v.Text())
	if err != nil {
		v.wrong("a whole number")
		return 0
	}
	if n < least || n > most {
		v.Errorf("out-of-range", "%d is out of range, accepted: %d to %d", n, least, most)
		return 0
	}
	return n
}

// Float is a number from least to most.
func (v Value) Float(least, most float64) float64 {
	if v.node == nil {
		return 0
	}
	f, err := strconv.ParseFloat(v.Text(), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		v.wrong("a number")
		return 0
	}
	if f < least || f > most {
		v.Errorf("out-of-range", "%v is out of range, accepted: %v to %v", f, least, most)
		return 0
	}
	return f
}

// Share is a percentage ("25%") or a number from 0 to 1, as a number from 0 to 1.
func (v Value) Share() float64 {
	if v.node == nil {
		return 0
	}
	text := v.Text()
	number, percent := strings.CutSuffix(text, "%")
	f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || math.IsNaN(f) {
		v.Errorf("wrong-unit", "%s is not a share, write it as 25%% or 0.25", v.shape())
		return 0
	}
	if percent {
		f /= 100
	}
	if f < 0 || f > 1 {
		v.Errorf("out-of-range", "%q is out of range, accepted: 0%% to 100%%, or 0 to 1", text)
		return 0
	}
	return f
}

// Duration is a span such as 300ms, 2s or 1m30s, not negative.
func (v Value) Duration() time.Duration {
	if v.node == nil {
		return 0
	}
	text := v.Text()
	d, err := time.ParseDuration(text)
	if err != nil {
		hint := ""
		if _, e := strconv.ParseFloat(text, 64); e == nil {
			hint = fmt.Sprintf("; did you mean \"%sms\" or \"%ss\"", text, text)
		}
		v.Errorf("wrong-unit", "%s is not a duration, write a number with ns, us, ms, s, m or h%s",
			v.shape(), hint)
		return 0
	}
	if d < 0 {
		v.Errorf("out-of-range", "%q is negative", text)
		return 0
	}
	return d
}

// Positive is a duration above zero.
func (v Value) Positive() time.Duration {
	d, text := v.Duration(), v.Text()
	if zero, err := time.ParseDuration(text); err == nil && zero == 0 {
		v.Errorf("out-of-range", "%q is no time at all, accepted: more than 0", text)
	}
	return d
}

var rate = regexp.MustCompile(`^\s*([0-9]+(?:\.[0-9]+)?)\s*/\s*(ms|s|m|h)\s*$`)

// Rate is a number of things in a time, such as 200/s or 30/m, as things per second.
func (v Value) Rate() float64 {
	if v.node == nil {
		return 0
	}
	r, ok := ParseRate(v.Text())
	if !ok {
		v.Errorf("wrong-unit", "%s is not a rate, write it as 200/s, 30/m or 10/h", v.shape())
	}
	return r
}

// ParseRate reads a text such as "200/s" as things per second.
func ParseRate(text string) (perSecond float64, ok bool) {
	m := rate.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseFloat(m[1], 64)
	per := map[string]float64{"ms": 0.001, "s": 1, "m": 60, "h": 3600}[m[2]]
	return n / per, err == nil
}

// Texts is a list of texts, or one text as a list of one.
func (v Value) Texts() []string {
	if v.IsScalar() {
		if s := v.String(); s != "" {
			return []string{s}
		}
		return nil
	}
	var out []string
	for _, item := range v.Items() {
		out = append(out, item.String())
	}
	return out
}

// Any is the value as encoding/json would decode it: map[string]any, []any, string, float64, bool
// or nil.
func (v Value) Any() any {
	r := v.resolve()
	switch {
	case r.node == nil || r.Null():
		return nil
	case r.node.Kind == yaml.MappingNode:
		m := map[string]any{}
		for _, e := range r.Entries() {
			m[e.Key.Text()] = e.Value.Any()
		}
		return m
	case r.node.Kind == yaml.SequenceNode:
		list := []any{}
		for _, item := range r.Items() {
			list = append(list, item.Any())
		}
		return list
	case r.node.Tag == "!!bool":
		return strings.EqualFold(r.node.Value, "true")
	case r.node.Tag == "!!int" || r.node.Tag == "!!float":
		var f float64
		if err := r.node.Decode(&f); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
	}
	return r.node.Value
}

// Without is a mapping without some of its keys.
func (v Value) Without(keys ...string) Value {
	r := v.resolve()
	if r.node == nil || r.node.Kind != yaml.MappingNode {
		return v
	}
	rest := *r.node
	rest.Content = nil
	for _, e := range r.Entries() {
		if !slices.Contains(keys, e.Key.Text()) {
			rest.Content = append(rest.Content, e.Key.node, e.Value.node)
		}
	}
	v.node = &rest
	return v
}

// Inside is the same text, placed where its part begins that offset bytes come before. A text that
// does not stand in the file as it reads (escapes, several lines) keeps its place.
func (v Value) Inside(offset int) Value {
	r := v.resolve()
	if r.node == nil || r.node.Kind != yaml.ScalarNode || offset > len(r.node.Value) {
		return v
	}
	line := []rune(v.doc.lines[v.Position().Line-1])
	begin := r.Position().Column - 1
	if r.node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		begin++
	}
	if begin > len(line) || !strings.HasPrefix(string(line[begin:]), r.node.Value[:offset]) {
		return v
	}
	moved := *r.node
	moved.Column = begin + 1 + utf8.RuneCountInString(r.node.Value[:offset])
	v.node = &moved
	return v
}

// Renamed is a key that stands where v stands and has another text.
func (v Value) Renamed(text string) Value {
	if v.node == nil {
		return v
	}
	v.node = &yaml.Node{
		Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Line: v.node.Line, Column: v.node.Column,
	}
	return v
}

// Under is the value inside mappings of its own, one for each key, the first key outermost. The
// new mappings stand where at stands; v and at are of one document.
func (v Value) Under(at Value, keys ...string) Value {
	if v.node == nil || at.node == nil {
		return v
	}
	for _, key := range slices.Backward(keys) {
		place := yaml.Node{Line: at.node.Line, Column: at.node.Column}
		word, around := place, place
		word.Kind, word.Tag, word.Value = yaml.ScalarNode, "!!str", key
		around.Kind, around.Tag = yaml.MappingNode, "!!map"
		around.Content = []*yaml.Node{&word, v.node}
		v.node = &around
	}
	return v
}

var countPer = regexp.MustCompile(`^\s*([0-9]+)\s*/\s*(ms|s|m|h)\s*$`)

// CountPer is a whole number of things in a time, such as 200/s, 30/m or 5/h.
func (v Value) CountPer() (int, time.Duration) {
	if v.node == nil {
		return 0, 0
	}
	m := countPer.FindStringSubmatch(v.Text())
	n := 0
	if m != nil {
		n, _ = strconv.Atoi(m[1])
	}
	if n < 1 {
		v.Errorf("wrong-unit", "%s is not a count in a time, write it as 200/s, 30/m or 10/h", v.shape())
		return 0, 0
	}
	units := map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour,
	}
	return n, units[m[2]]
}
