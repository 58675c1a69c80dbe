package scenarios

import (
	"encoding/json"
	"slices"

	"github.com/faultline-sim/faultline/assertions/spec"
)

type object = map[string]any

// Schema is the JSON Schema of a scenario's YAML, for editors. It is made from the same table of
// kinds that the parser reads.
func Schema() ([]byte, error) {
	text := object{"type": "string"}
	duration := object{"type": "string", "pattern": `^[0-9.]+(ns|us|µs|ms|s|m|h)([0-9.]+(ns|us|µs|ms|s|m|h))*$`}
	rate := object{"type": "string", "pattern": `^\s*[0-9.]+\s*/\s*(ms|s|m|h)\s*$`}
	fields := object{
		"scenario": text, "description": text, "topology": text,
		"change": object{"type": "object"}, "as_built": object{"type": "object"},
		"seed":   object{"type": "integer", "minimum": 0},
		"steady": duration, "recover": duration, "drain": duration, "deadline": duration,
		"load":     object{"type": "object", "additionalProperties": loadSchema(rate, duration)},
		"timeline": object{"type": "array", "maxItems": maxActs, "items": actSchema(duration)},
		"assert":   spec.Schema(), "expect": object{},
	}
	for name, text := range scenarioWords {
		if field, ok := fields[name].(object); ok {
			fields[name] = with(field, "description", text)
		}
	}
	return json.MarshalIndent(object{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Faultline scenario",
		"type": "object", "required": []string{"topology", "load"},
		"properties": fields, "additionalProperties": false,
	}, "", "  ")
}

// with is a copy of an object with one more field.
func with(o object, key string, value any) object {
	copied := object{key: value}
	for k, v := range o {
		copied[k] = v
	}
	return copied
}

func loadSchema(rate, duration object) object {
	burst := object{"type": "object", "additionalProperties": false, "required": []string{"for"}, "properties": object{
		"rate": rate, "times": object{"type": "number"}, "at": duration, "for": duration, "every": duration,
	}}
	return object{"oneOf": []any{rate, object{
		"type": "object", "additionalProperties": false, "properties": object{
			"rate": rate, "ramp": object{"type": "string"}, "over": duration, "poisson": object{"type": "boolean"},
			"burst": object{"oneOf": []any{burst, object{"type": "array", "items": burst}}},
		},
	}}}
}

func actSchema(duration object) object {
	common := object{"name": object{"type": "string"}, "at": object{"type": "string"}}
	one := func(fields object, required ...string) object {
		for k, v := range common {
			fields[k] = v
		}
		return object{"type": "object", "additionalProperties": false, "properties": fields,
			"required": append(required, "at")}
	}
	acts := []any{
		one(object{"redrive": object{"type": "string"}}, "redrive"),
		one(object{"scale": object{"type": "object", "additionalProperties": object{"type": "integer"}}}, "scale"),
	}
	for _, k := range Kinds() {
		fields := object{
			"fault": object{"const": k.Name, "description": k.Doc}, "for": duration,
		}
		required := append([]string{"fault"}, k.Needs...)
		if k.On(OnWire) {
			fields["wire"] = object{"type": "string"}
			required = append(required, "wire")
		} else if !k.On(OnFlow) {
			fields["node"] = object{"type": "string"}
			required = append(required, "node")
		}
		if !k.Instant {
			required = append(required, "for")
		}
		for _, name := range slices.Concat(k.Needs, k.May) {
			fields[name] = object{"description": faultWords[name]}
		}
		acts = append(acts, one(fields, required...))
	}
	return object{"oneOf": acts}
}
