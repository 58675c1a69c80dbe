package spec

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Explain is the definition, the fields with their defaults, the evidence and an example of an
// assertion; ok is false for a word that is none.
func Explain(name string) (text string, ok bool) {
	w, ok := wordOf(name)
	if !ok {
		return "", false
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s (assertion)\n\n%s\n\n", w.name, fill(w.definition))
	for _, f := range w.fields {
		note := "default: " + f.preset
		if f.needed {
			note = "required"
		}
		fmt.Fprintf(&b, "  %-14s %s; %s (%s)\n", f.name, units[f.shape], f.doc, note)
	}
	fmt.Fprintf(&b, "\nValid needs %s.\n", w.needs)
	if len(w.anomalies) > 0 {
		fmt.Fprintf(&b, "Anomalies: %s; a verdict shows at most 10 and counts the rest.\n",
			strings.Join(w.anomalies, ", "))
	}
	fmt.Fprintf(&b, "\nExample:\n  assert:\n    %s\n", w.example)
	return b.String(), true
}

// units say how a field of each shape is written.
var units = map[string]string{
	"flow":     "a flow's name",
	"flows":    "a list of flows",
	"fault":    "the name of a fault in the timeline",
	"handler":  "node.handler",
	"channel":  "broker/channel",
	"duration": "a duration (300ms, 2s)",
	"share":    "a share (1% or 0.01)",
	"ratio":    "a number, at least 1",
	"count":    "a whole number",
	"bool":     "true or false",
	"text":     "a text",
}

// fill breaks a text into lines of at most 90 characters.
func fill(text string) string {
	var b strings.Builder
	width := 0
	for _, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case width == 0:
		case width+1+n > 90:
			b.WriteByte('\n')
			width = 0
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += n
	}
	return b.String()
}

// Schema is the JSON Schema of what stands under `assert:`.
func Schema() json.RawMessage {
	var items []any
	for _, w := range words() {
		items = append(items, object(map[string]any{w.name: wordSchema(w)}, []string{w.name}, ""))
	}
	items = append(items, map[string]any{"enum": Words()})
	return encoded(map[string]any{"type": "array", "items": map[string]any{"anyOf": items}})
}

// ExpectSchema is the JSON Schema of what stands under `expect:`.
func ExpectSchema() json.RawMessage {
	var anomalies []string
	for _, w := range words() {
		anomalies = append(anomalies, w.anomalies...)
	}
	expectation := object(map[string]any{
		"verdict":   map[string]any{"enum": []string{"valid", "invalid", "unknown", "untested"}},
		"assertion": map[string]any{"type": "string"},
		"anomaly":   map[string]any{"enum": unique(anomalies)},
		"flow":      map[string]any{"type": "string"},
	}, []string{"verdict", "assertion"}, "")
	valid := map[string]any{"const": "valid"}
	list := map[string]any{"type": "array",
		"items": map[string]any{"anyOf": []any{valid, expectation}}}
	return encoded(map[string]any{"anyOf": []any{valid, list}})
}

// encoded is a schema as JSON; maps, lists and texts always have one.
func encoded(schema map[string]any) json.RawMessage {
	raw, err := json.Marshal(schema)
	if err != nil {
		panic(err)
	}
	return raw
}

func unique(words []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, w := range words {
		if !seen[w] {
			seen[w] = true
			out = append(out, w)
		}
	}
	return out
}

func wordSchema(w word) map[string]any {
	fields := map[string]any{}
	var needed []string
	for _, f := range w.fields {
		s := shapeSchema(f.shape)
		s["description"] = f.doc
		fields[f.name] = s
		if f.needed {
			needed = append(needed, f.name)
		}
	}
	s := object(fields, needed, w.definition)
	if len(needed) == 0 {
		s["type"] = []string{"object", "null"}
	}
	return s
}

func object(fields map[string]any, needed []string, doc string) map[string]any {
	s := map[string]any{"type": "object", "properties": fields, "additionalProperties": false}
	if len(needed) > 0 {
		s["required"] = needed
	}
	if doc != "" {
		s["description"] = doc
	}
	return s
}

func shapeSchema(shape string) map[string]any {
	switch shape {
	case "flows":
		text := map[string]any{"type": "string"}
		return map[string]any{"anyOf": []any{text, map[string]any{"type": "array", "items": text}}}
	case "duration":
		return map[string]any{"type": "string",
			"pattern": `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0$`}
	case "share":
		return map[string]any{"anyOf": []any{
			map[string]any{"type": "string", "pattern": `^[0-9]+(\.[0-9]+)?%$`},
			map[string]any{"type": "number", "minimum": 0, "maximum": 1}}}
	case "ratio":
		return map[string]any{"type": "number", "minimum": 1}
	case "count":
		return map[string]any{"type": "integer", "minimum": 0}
	case "bool":
		return map[string]any{"type": "boolean"}
	}
	return map[string]any{"type": "string"}
}
