package topology

import (
	"encoding/json"
	"slices"
)

// Schema is the JSON Schema (2020-12) of a topology's YAML, for editors. It is made from the same
// words as the explanations; names and references it takes as text, which Load alone can check.
func Schema() []byte {
	defs := map[string]any{"box": boxSchema(), "node": nodeSchema(), "step": stepSchema()}
	var top map[string]any
	for _, o := range vocabulary() {
		switch {
		case o.name == "topology":
			top = closed(o.fields)
		case o.name == "handler":
			defs[o.name] = handlerSchema(slices.Concat(o.fields, policyFields()))
		case o.name == "send":
			defs[o.name] = closed(slices.Concat(o.fields, policyFields()))
		case o.name == "node":
			for kind, words := range kindFields {
				defs[string(kind)] = kindSchema(kind, only(o.fields, words))
			}
		case o.on == "a step":
			defs["step_"+o.name] = closed(slices.Concat(o.fields, anyStep(), policyFields()))
		default:
			defs[o.name] = closed(o.fields)
		}
	}
	top["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	top["title"] = "Faultline topology"
	top["required"] = []string{"topology"}
	top["$defs"] = defs
	text, err := json.MarshalIndent(top, "", "  ")
	if err != nil {
		panic(err) // maps, lists and texts only: a mistake in this file
	}
	return append(text, '\n')
}

// closed is a mapping with these fields and no others.
func closed(fields []field) map[string]any {
	return map[string]any{
		"type": "object", "properties": properties(fields), "additionalProperties": false,
	}
}

// boxSchema is a node, or a drawn box with children that refine it.
func boxSchema() map[string]any {
	return map[string]any{
		"type": "object",
		"if":   map[string]any{"required": []string{"kind"}},
		"then": map[string]any{"$ref": "#/$defs/node"},
		"else": map[string]any{
			"minProperties":        1,
			"additionalProperties": map[string]any{"$ref": "#/$defs/box"},
		},
	}
}

// nodeSchema leads to the schema of the node's kind.
func nodeSchema() map[string]any {
	var cases []any
	for _, kind := range kinds {
		cases = append(cases, map[string]any{
			"if": map[string]any{"properties": map[string]any{
				"kind": map[string]any{"const": kind}}},
			"then": map[string]any{"$ref": "#/$defs/" + kind},
		})
	}
	return map[string]any{
		"required": []string{"kind"}, "allOf": cases,
		"properties": map[string]any{"kind": map[string]any{"enum": kinds}},
	}
}

// kindSchema is the fields that a kind of node accepts, brokers and stores with their protocols.
func kindSchema(kind Kind, fields []field) map[string]any {
	schema := closed(fields)
	if accepted := protocols[kind]; accepted != nil {
		own := schema["properties"].(map[string]any)["protocol"].(map[string]any)
		own["enum"] = accepted
	}
	if needsProtocol(kind) {
		schema["required"] = []string{"protocol"}
	}
	return schema
}

// handlerSchema asks for exactly one trigger.
func handlerSchema(fields []field) map[string]any {
	schema := closed(fields)
	var cases []any
	for _, trigger := range triggers {
		cases = append(cases, map[string]any{"required": []string{trigger}})
	}
	schema["oneOf"] = cases
	return schema
}

// stepSchema leads to the schema of the step's kind, of which there is exactly one.
func stepSchema() map[string]any {
	var cases, leads []any
	for _, kind := range slices.Sorted(slices.Values(stepKinds)) {
		one := map[string]any{"required": []string{kind}}
		cases = append(cases, one)
		lead := map[string]any{"if": one}
		lead["then"] = map[string]any{"$ref": "#/$defs/step_" + kind}
		leads = append(leads, lead)
	}
	return map[string]any{"type": "object", "oneOf": cases, "allOf": leads}
}
