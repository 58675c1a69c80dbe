package topology

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// decoded are the words that the decoder's source accepts: keys of its maps of readers, and values
// given to OneOf as literals. Values that stand in lists are added.
func decoded(t *testing.T) (keys, values []string) {
	t.Helper()
	files, err := filepath.Glob("decode*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no decoder found (%v)", err)
	}
	files = append(files, "load.go")
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if m, ok := n.Type.(*ast.MapType); ok && isReader(m.Value) {
					keys = append(keys, literalKeys(n)...)
				}
			case *ast.AssignStmt:
				if i, ok := n.Lhs[0].(*ast.IndexExpr); ok && isReader(n.Rhs[0]) {
					keys = append(keys, literals(i.Index)...)
				}
			case *ast.CallExpr:
				if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "OneOf" {
					values = append(values, literals(n.Args...)...)
				}
			}
			return true
		})
	}
	values = slices.Concat(values, kinds, protocols[Broker], protocols[Store], stepKinds,
		[]string{string(AtLeastOnce), string(ExactlyOnce), string(AtMostOnce)})
	asBuilt := func(v string) bool { return v == "dropped" }
	return keys, slices.DeleteFunc(values, asBuilt)
}

// isReader says that an expression is, or makes, a function that reads a value.
func isReader(e ast.Expr) bool {
	var f *ast.FuncType
	switch e := e.(type) {
	case *ast.FuncType:
		f = e
	case *ast.FuncLit:
		f = e.Type
	default:
		return false
	}
	if len(f.Params.List) != 1 || f.Results != nil {
		return false
	}
	s, ok := f.Params.List[0].Type.(*ast.SelectorExpr)
	return ok && s.Sel.Name == "Value"
}

func literalKeys(c *ast.CompositeLit) []string {
	var keys []string
	for _, e := range c.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			keys = append(keys, literals(kv.Key)...)
		}
	}
	return keys
}

func literals(exprs ...ast.Expr) []string {
	var words []string
	for _, e := range exprs {
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if word, err := strconv.Unquote(l.Value); err == nil {
				words = append(words, word)
			}
		}
	}
	return words
}

func TestEveryWordIsExplained(t *testing.T) {
	keys, values := decoded(t)
	if len(keys) < 60 || len(values) < 20 {
		t.Fatalf("found %d keys and %d values in the decoder: has its form changed?",
			len(keys), len(values))
	}
	for _, word := range slices.Concat(keys, values) {
		if text, _ := Explain(word); text == "" {
			t.Errorf("%q is accepted, but has no explanation", word)
		}
	}
	for _, o := range vocabulary() {
		for _, f := range o.fields {
			if !slices.Contains(keys, f.word) {
				t.Errorf("%q is explained %s, but the decoder does not know it", f.word, o.on)
			}
		}
	}
}

// TestExamplesAreYAML reads each example by itself.
func TestExamplesAreYAML(t *testing.T) {
	for _, o := range vocabulary() {
		for _, f := range o.fields {
			var diags diag.List
			v := yamlpos.Parse("example", []byte(f.example), &diags)
			if !diags.Empty() || !v.Get(f.word).Present() {
				t.Errorf("example of %q: %q %s", f.word, f.example, diags.String())
			}
		}
	}
}

func TestExplain(t *testing.T) {
	text, near := Explain("breaker")
	want := `breaker, on a step, a handler, a send or a named policy
  opens after failures within a window, refuses or pauses while open, then lets one trial through
  accepted: a breaker; or "none"
  example:  breaker: {failures: 5, within: 10s, open: 2s, when_open: pause}
`
	if diff := cmp.Diff(want, text); diff != "" || near != nil {
		t.Errorf("breaker (-want +got):\n%s%v", diff, near)
	}
	if text, near := Explain("braker"); text != "" || !slices.Contains(near, "breaker") {
		t.Errorf("braker: %q, near %v", text, near)
	}
	if text, near := Explain("nothing like it"); text != "" || near != nil {
		t.Errorf("nonsense: %q, near %v", text, near)
	}
	for _, word := range []string{"key", "do", "attempts"} {
		text, _ := Explain(word)
		if strings.Count(text, "\n") < 6 {
			t.Errorf("%q stands at several places, only one is told:\n%s", word, text)
		}
	}
	if words := Words(); !slices.IsSorted(words) || len(words) < 100 || slices.Contains(words, "") {
		t.Errorf("words: %v", words)
	}
}
