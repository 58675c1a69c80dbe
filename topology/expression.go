package topology

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

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
	return text
}

// oneLine is the innermost reason of an error, on one line and bounded.
func oneLine(err error) string {
	text := err.Error()
	if inner := errors.Unwrap(err); inner != nil {
		first, _, _ := strings.Cut(inner.Error(), "\n")
		head, _, _ := strings.Cut(text, ": ")
		text = head + ": " + first
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + " …"
	}
	return text
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
