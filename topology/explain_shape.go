package topology

import (
	"fmt"
	"slices"
	"strings"
)

// field is one key of the topology's YAML: what may stand behind it, what it means, and an example.
// The schema and the explanations are both made from fields.
type field struct {
	word    string
	shape   shape
	text    string // definition, with units and limits; starts in lower case, no full stop
	example string // a line of YAML
}

// object is a mapping of fields.
type object struct {
	name   string // the name of its definition in the schema
	on     string // where its fields stand, for a reader: "on a handler"
	fields []field
}

// shape is what a value may look like: for a reader, and as JSON Schema.
type shape struct {
	says   string
	schema map[string]any
}

const durationPattern = `^\+?(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`

func text(says string) shape {
	return shape{says, map[string]any{"type": []string{"string", "number", "boolean"}}}
}

// duration is a span that may be nothing, span one that may not.
func duration() shape {
	return shape{"a duration such as 300ms, 2s or 1m30s, or 0", map[string]any{"anyOf": []any{
		map[string]any{"type": "string", "pattern": durationPattern}, map[string]any{"const": 0}}}}
}

func span() shape {
	return shape{"a duration such as 300ms, 2s or 1m30s", map[string]any{
		"type": "string", "pattern": durationPattern}}
}

func share() shape {
	return shape{"a share, 25% or 0.25", map[string]any{"anyOf": []any{
		map[string]any{"type": "number", "minimum": 0, "maximum": 1},
		map[string]any{"type": "string", "pattern": `^[0-9.]+\s*%?$`}}}}
}

func rate() shape {
	return shape{"a rate such as 200/s, 30/m or 10/h", map[string]any{
		"type": "string", "pattern": `^\s*[0-9]+(\.[0-9]+)?\s*/\s*(ms|s|m|h)\s*$`}}
}

func truth() shape { return shape{"true or false", map[string]any{"type": "boolean"}} }

func whole(least, most int) shape {
	return shape{fmt.Sprintf("a whole number from %d to %d", least, most),
		map[string]any{"type": "integer", "minimum": least, "maximum": most}}
}

func number(least, most float64) shape {
	return shape{fmt.Sprintf("a number from %v to %v", least, most),
		map[string]any{"type": "number", "minimum": least, "maximum": most}}
}

func oneOf[W ~string](words ...W) shape {
	plain := make([]string, len(words))
	for i, w := range words {
		plain[i] = string(w)
	}
	return shape{"one of " + strings.Join(plain, ", "), map[string]any{"enum": plain}}
}

// ref is an object of the vocabulary.
func ref(name, says string) shape {
	return shape{says, map[string]any{"$ref": "#/$defs/" + name}}
}

// mapOf is a mapping of names of the user's to one shape each.
func mapOf(s shape, says string) shape {
	return shape{says, map[string]any{"type": "object", "additionalProperties": s.schema}}
}

func listOf(s shape, says string) shape {
	return shape{says, map[string]any{"type": "array", "items": s.schema}}
}

// or is any of several shapes.
func or(shapes ...shape) shape {
	says, schemas := make([]string, len(shapes)), make([]any, len(shapes))
	for i, s := range shapes {
		says[i], schemas[i] = s.says, s.schema
	}
	return shape{strings.Join(says, "; or "), map[string]any{"anyOf": schemas}}
}

func orNone(s shape) shape { return or(s, shape{`"none"`, map[string]any{"const": "none"}}) }

// oneOrMore is one value or a list of them.
func oneOrMore(s shape) shape { return or(s, listOf(s, "a list of them")) }

// orNothing lets a mapping be left empty.
func orNothing(s shape) shape {
	return shape{s.says, map[string]any{"anyOf": []any{s.schema, map[string]any{"type": "null"}}}}
}

// properties are the schemas of fields by word, each with its meaning.
func properties(fields []field) map[string]any {
	all := map[string]any{}
	for _, f := range fields {
		one := map[string]any{"description": f.text}
		for k, v := range f.shape.schema {
			one[k] = v
		}
		all[f.word] = one
	}
	return all
}

// only keeps the fields with one of the words.
func only(fields []field, words []string) []field {
	return slices.DeleteFunc(slices.Clone(fields), func(f field) bool {
		return !slices.Contains(words, f.word)
	})
}
