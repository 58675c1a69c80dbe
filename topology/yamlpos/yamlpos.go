// Package yamlpos reads YAML strictly and keeps every value's position.
//
// It serves the load step of load → plan → run → check → report. Documents with duplicate keys, a
// second document, self-referring or exploding aliases, or values of the wrong shape are refused
// with positions, all mistakes at once. It is the only package that imports yaml.v3.
package yamlpos

import (
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/faultline-sim/faultline/topology/diag"
)

// Limits on a document: beyond them it is refused rather than expanded.
const (
	MaxBytes = 1 << 20
	maxNodes = 100_000 // values after aliases are expanded
	maxDepth = 64
)

// Value is one YAML value with its place. The zero Value is "absent": every accessor of it gives
// its zero result and reports nothing. Values of one document share its list of diagnostics.
type Value struct {
	node *yaml.Node
	doc  *document
}

// document is what all values of one file share.
type document struct {
	file  string
	lines []string
	diags *diag.List
}

// Entry is one key and value of a mapping.
type Entry struct{ Key, Value Value }

// Parse reads the only document in src. Mistakes go to diags; the returned value is absent when
// nothing can be read.
func Parse(file string, src []byte, diags *diag.List) Value {
	doc := &document{file: file, lines: strings.Split(string(src), "\n"), diags: diags}
	at := diag.Position{File: file, Line: 1, Column: 1}
	switch {
	case len(src) > MaxBytes:
		diags.Add(at, "too-large", "file has %d bytes, at most %d are read", len(src), MaxBytes)
		return Value{}
	case !utf8.Valid(src):
		diags.Add(at, "encoding", "file is not UTF-8 text")
		return Value{}
	}
	dec := yaml.NewDecoder(strings.NewReader(string(src)))
	var root yaml.Node
	if err := dec.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			diags.Add(at, "empty", "file has no document")
			return Value{}
		}
		doc.syntax(err)
		return Value{}
	}
	var second yaml.Node
	if err := dec.Decode(&second); err == nil {
		v := Value{node: &second, doc: doc}
		diags.Add(v.Position(), "second-document",
			"a second document begins here, one file holds one document")
		return Value{}
	} else if !errors.Is(err, io.EOF) {
		doc.syntax(err)
		return Value{}
	}
	if len(root.Content) == 0 {
		diags.Add(at, "empty", "file has no document")
		return Value{}
	}
	w := walker{doc: doc}
	if !w.walk(root.Content[0], 0) {
		return Value{}
	}
	return Value{node: root.Content[0], doc: doc}
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// syntax turns the parser's own error, which knows a line at most, into a diagnostic.
func (d *document) syntax(err error) {
	at, text := diag.Position{File: d.file, Line: 1, Column: 1}, err.Error()
	if m := yamlLine.FindStringSubmatch(strings.SplitN(text, "\n", 2)[0]); m != nil {
		text = m[2]
		if n, err := strconv.Atoi(m[1]); err == nil && n >= 1 {
			at.Line = min(n, len(d.lines))
		}
	}
	d.diags.Add(at, "syntax", "%s", text)
}

// walker checks a tree before anyone reads it: cycles, alias bombs, depth, duplicate keys.
type walker struct {
	doc    *document
	active []*yaml.Node // aliases' targets being expanded
	alias  *yaml.Node   // the outermost alias being expanded, nil outside
	nodes  int
	failed bool
}

func (w *walker) walk(n *yaml.Node, depth int) bool {
	v := Value{node: n, doc: w.doc}
	w.nodes++
	switch {
	case w.failed:
		return false
	case w.nodes > maxNodes:
		if w.alias != nil {
			v.node = w.alias
		}
		return w.fail(v, "alias-bomb",
			"document grows past %d values when its aliases are expanded", maxNodes)
	case depth > maxDepth:
		return w.fail(v, "too-deep", "values are nested deeper than %d levels", maxDepth)
	case slices.Contains(w.active, n):
		return w.fail(v, "self-alias", "anchor %q contains itself", n.Anchor)
	}
	if n.Kind == yaml.AliasNode {
		if w.alias == nil {
			w.alias = n
			defer func() { w.alias = nil }()
		}
		return w.walk(n.Alias, depth+1)
	}
	w.active = append(w.active, n)
	defer func() { w.active = w.active[:len(w.active)-1] }()
	if n.Kind == yaml.MappingNode {
		w.duplicates(n)
	}
	for _, c := range n.Content {
		if !w.walk(c, depth+1) {
			return false
		}
	}
	return true
}

func (w *walker) fail(v Value, kind, format string, args ...any) bool {
	w.failed = true
	v.Errorf(kind, format, args...)
	return false
}

func (w *walker) duplicates(n *yaml.Node) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := Value{node: n.Content[i], doc: w.doc}.resolve()
		if key.node.Kind != yaml.ScalarNode {
			key.Errorf("wrong-type", "a key is a plain word, this is %s", key.shape())
			continue
		}
		if key.node.Tag == "!!merge" {
			key.Errorf("merge-key", "merge keys (<<) are not read, write the fields out")
			continue
		}
		if first, ok := seen[key.node.Value]; ok {
			key.Errorf("duplicate-key", "key %q is already set at line %d", key.node.Value, first)
			continue
		}
		seen[key.node.Value] = key.node.Line
	}
}

// resolve follows aliases.
func (v Value) resolve() Value {
	for v.node != nil && v.node.Kind == yaml.AliasNode {
		v.node = v.node.Alias
	}
	return v
}

// Present says that the value is in the file.
func (v Value) Present() bool { return v.node != nil }

// Null says that the value is there and empty ("key:" with nothing behind it, or null).
func (v Value) Null() bool {
	r := v.resolve()
	return r.node != nil && r.node.Kind == yaml.ScalarNode && r.node.Tag == "!!null"
}

// Position is where the value begins.
func (v Value) Position() diag.Position {
	if v.node == nil {
		return diag.Position{}
	}
	p := diag.Position{File: v.doc.file, Line: max(1, v.node.Line), Column: max(1, v.node.Column)}
	p.Line = min(p.Line, len(v.doc.lines))
	return p
}

// Errorf reports a mistake at the value.
func (v Value) Errorf(kind, format string, args ...any) {
	if v.node != nil {
		v.doc.diags.Add(v.Position(), kind, format, args...)
	}
}

// IsMap, IsList and IsScalar tell the value's shape.
func (v Value) IsMap() bool    { return v.is(yaml.MappingNode) }
func (v Value) IsList() bool   { return v.is(yaml.SequenceNode) }
func (v Value) IsScalar() bool { return v.is(yaml.ScalarNode) }

func (v Value) is(k yaml.Kind) bool {
	r := v.resolve()
	return r.node != nil && r.node.Kind == k
}

// shape names what the value is, for a message.
func (v Value) shape() string {
	switch r := v.resolve(); {
	case r.node == nil:
		return "nothing"
	case r.Null():
		return "empty"
	case r.node.Kind == yaml.MappingNode:
		return "a mapping"
	case r.node.Kind == yaml.SequenceNode:
		return "a list"
	default:
		return strconv.Quote(r.node.Value)
	}
}

func (v Value) wrong(want string) {
	v.Errorf("wrong-type", "expected %s, found %s", want, v.shape())
}

// Entries is a mapping's keys and values in the file's order; any other shape is reported.
func (v Value) Entries() []Entry {
	r := v.resolve()
	if r.node == nil || r.Null() {
		return nil
	}
	if r.node.Kind != yaml.MappingNode {
		v.wrong("a mapping")
		return nil
	}
	var es []Entry
	for i := 0; i+1 < len(r.node.Content); i += 2 {
		es = append(es, Entry{
			Key:   Value{node: r.node.Content[i], doc: v.doc}.resolve(),
			Value: Value{node: r.node.Content[i+1], doc: v.doc},
		})
	}
	return es
}

// Items is a list's values; any other shape is reported.
func (v Value) Items() []Value {
	r := v.resolve()
	if r.node == nil || r.Null() {
		return nil
	}
	if r.node.Kind != yaml.SequenceNode {
		v.wrong("a list")
		return nil
	}
	items := make([]Value, len(r.node.Content))
	for i, c := range r.node.Content {
		items[i] = Value{node: c, doc: v.doc}
	}
	return items
}

// Get is the value of one key, absent when the key is; other keys are not looked at.
func (v Value) Get(key string) Value {
	r := v.resolve()
	if r.node == nil || r.node.Kind != yaml.MappingNode {
		return Value{}
	}
	for i := 0; i+1 < len(r.node.Content); i += 2 {
		if (Value{node: r.node.Content[i], doc: v.doc}).resolve().node.Value == key {
			return Value{node: r.node.Content[i+1], doc: v.doc}
		}
	}
	return Value{}
}

// Fields reads a mapping strictly: each key must be a field, and its function gets the value.
// Fields are read in the file's order.
func (v Value) Fields(fields map[string]func(Value)) {
	for _, e := range v.Entries() {
		read, ok := fields[e.Key.node.Value]
		if !ok {
			names := make([]string, 0, len(fields))
			for name := range fields {
				names = append(names, name)
			}
			key := e.Key.Text()
			e.Key.Errorf("unknown-key", "unknown key %q, %s", key, diag.Expected(key, names))
			continue
		}
		read(e.Value)
	}
}
