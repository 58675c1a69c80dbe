package topology

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// expression is a text that compiles, "" when it does not.
func (d *decoder) expression(v yamlpos.Value, compile func(string) (*Expression, error)) string {
	text := v.String()
	if text == "" {
		return ""
	}
	if _, err := compile(text); err != nil {
		v.Errorf("bad-expression", "%s", oneLine(err))
		return ""
	}
	for _, fleet := range fleetsIn(text) {
		d.nodeRef(v, fleet, Fleet)
	}
	return text
}

// fleetsIn are the names of fleets that an expression gives to member.
func fleetsIn(text string) []string {
	tree, err := parser.Parse(text)
	if err != nil {
		return nil
	}
	var found fleetFinder
	ast.Walk(&tree.Node, &found)
	return found.names
}

// fleetFinder collects the first argument of each call of member that is a plain text.
type fleetFinder struct{ names []string }

// Visit is called for each part of an expression.
func (f *fleetFinder) Visit(node *ast.Node) {
	call, ok := (*node).(*ast.CallNode)
	if !ok || len(call.Arguments) == 0 {
		return
	}
	name, ok := call.Callee.(*ast.IdentifierNode)
	if !ok || name.Value != "member" {
		return
	}
	if fleet, ok := call.Arguments[0].(*ast.StringNode); ok {
		f.names = append(f.names, fleet.Value)
	}
}

// oneLine is the innermost reason of an error, on one line and bounded.
func oneLine(err error) string {
	text := err.Error()
	if inner := errors.Unwrap(err); inner != nil {
		first, _, _ := strings.Cut(inner.Error(), "\n")
		head, _, _ := strings.Cut(text, ": ")
		text = head + ": " + first
	}
	return bounded(text)
}

// bounded is a text on one line, cut where it is too long to read.
func bounded(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + " …"
	}
	return text
}

// innermost is the deepest of the reasons that an error lists as a tree ("- …" lines), the first of
// several; an error without a list is its first line.
func innermost(err error) string {
	first, rest, _ := strings.Cut(err.Error(), "\n")
	deepest, most := first, -1
	for _, line := range strings.Split(rest, "\n") {
		bare := strings.TrimLeft(line, " ")
		reason, listed := strings.CutPrefix(bare, "- ")
		if depth := len(line) - len(bare); listed && depth > most {
			deepest, most = reason, depth
		}
	}
	return bounded(deepest)
}

// CheckSchema says what is wrong with the text of a JSON Schema. References to other documents are
// refused: a topology reads no file but its own.
func CheckSchema(text string) error {
	_, err := CompileSchema(text)
	return err
}

// CompileSchema compiles the text of a JSON Schema for use; it is safe for concurrent use.
func CompileSchema(text string) (*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(text)))
	if err != nil {
		return nil, fmt.Errorf("read JSON Schema: %w", err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(noLoader{})
	if err := compiler.AddResource(schemaURL, document); err != nil {
		return nil, fmt.Errorf("add JSON Schema: %w", err)
	}
	schema, err := compiler.Compile(schemaURL)
	if err != nil {
		return nil, fmt.Errorf("compile JSON Schema: %w", err)
	}
	return schema, nil
}

const schemaURL = "faultline:///body.json"

// noLoader refuses references to other documents.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("reference to another document %q is not followed", url)
}
