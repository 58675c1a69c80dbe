package scenarios

import (
	"encoding/json"
	"slices"

	"github.com/faultline-sim/faultline/assertions/spec"
	"github.com/faultline-sim/faultline/topology/wire"
)

type object = map[string]any

// Schema is the JSON Schema of a scenario's YAML, for editors. It is made from the same table of
// kinds that the parser reads.
func Schema() ([]byte, error) {
	text, duration, rate := object{"type": "string"}, durationSchema(), rateSchema()
	fields := object{
		"scenario": text, "description": text, "topology": text,
		"change": object{"type": "object"}, "as_built": object{"type": "object"},
		"seed":   object{"type": "integer", "minimum": 0},
		"steady": duration, "recover": duration, "drain": duration, "deadline": duration,
		"load": object{"type": "object", "minProperties": 1,
			"additionalProperties": loadSchema(rate, duration)},
		"timeline": object{"type": "array", "maxItems": maxActs, "items": actSchema(duration)},
		"assert":   spec.Schema(), "expect": spec.ExpectSchema(),
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

func durationSchema() object {
	return object{"anyOf": []any{
		object{"type": "string",
			"pattern": `^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)` +
				`(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*$`},
		object{"const": 0, "description": "no time needs no unit"},
	}}
}

func rateSchema() object {
	return object{"type": "string", "pattern": `^\s*[0-9]+(\.[0-9]+)?\s*/\s*(ms|s|m|h)\s*$`}
}

// numberSchemas are the shapes of the fields that faults may be told.
func numberSchemas(kind string) map[string]object {
	const amount = `^\s*[0-9.]+([eE][0-9]+)?\s*(B|[KMG]i?B)`
	rate := rateSchema()
	if kind == "bandwidth" {
		rate = object{"type": "string", "pattern": amount + `/s\s*$`}
	}
	return map[string]object{
		"direction": {"enum": []any{wire.Requests, wire.Replies, wire.Both}},
		"replica":   {"type": "integer", "minimum": 0},
		"latency":   durationSchema(),
		"rate":      rate,
		"bytes":     {"type": "string", "pattern": amount + `\s*$`},
		"size":      {"type": "string", "pattern": amount + `\s*$`},
		"cores":     {"type": "number", "minimum": 0.01, "maximum": 1000},
		"share": {"oneOf": []any{
			object{"type": "number", "exclusiveMinimum": 0, "maximum": 1},
			object{"type": "string", "pattern": `^\s*[0-9.]+\s*%?$`},
		}},
		"every":  {"type": "boolean"},
		"login":  {"type": "boolean"},
		"status": {"type": "integer", "minimum": 400, "maximum": 599},
		"flow":   {"type": "string"},
		"factor": {"type": "number", "minimum": 0.001, "maximum": 10_000},
	}
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
	burst := object{
		"type": "object", "additionalProperties": false, "required": []string{"for"},
		"properties": object{
			"rate": rate, "times": object{"type": "number", "minimum": 0.001, "maximum": 10_000},
			"at": duration, "for": duration, "every": duration,
		},
		"oneOf": []any{object{"required": []string{"rate"}}, object{"required": []string{"times"}}},
	}
	return object{"oneOf": []any{rate, object{
		"type": "object", "additionalProperties": false, "properties": object{
			"rate": rate, "ramp": object{"type": "string",
				"pattern": `^.+/.+\.\..+/.+$`}, "over": duration,
			"poisson": object{"type": "boolean"},
			"burst":   object{"oneOf": []any{burst, object{"type": "array", "items": burst}}},
		},
		"oneOf": []any{
			object{"required": []string{"rate"}, "not": object{"anyOf": []any{
				object{"required": []string{"over"}}, object{"required": []string{"ramp"}},
			}}},
			object{"required": []string{"ramp", "over"},
				"not": object{"required": []string{"rate"}}},
		},
	}}}
}

func actSchema(duration object) object {
	common := object{"name": object{"type": "string"}, "at": object{"type": "string"}}
	one := func(fields object, required []string) object {
		for k, v := range common {
			fields[k] = v
		}
		return object{"type": "object", "additionalProperties": false, "properties": fields,
			"required": append(required, "at")}
	}
	acts := []any{
		one(object{"redrive": object{"type": "string"}}, []string{"redrive"}),
		one(object{"scale": object{
			"type": "object", "minProperties": 1,
			"additionalProperties": object{"type": "integer", "minimum": 0, "maximum": 100},
		}}, []string{"scale"}),
	}
	for _, k := range Kinds() {
		if len(k.places()) == 0 {
			acts = append(acts, one(faultSchema(k, duration)))
		}
		for _, place := range k.places() {
			fields, required := faultSchema(k, duration)
			fields[place] = object{"type": "string"}
			acts = append(acts, one(fields, append(required, place)))
		}
	}
	return object{"oneOf": acts}
}

// stateSchema is what a fault may wait for.
func stateSchema() object {
	return object{
		"type": "object", "additionalProperties": false, "required": []string{"in_hand"},
		"description": scenarioWords["when"], "properties": object{
			"in_hand":  object{"type": "string"},
			"at_least": object{"type": "integer", "minimum": 1, "maximum": 1_000_000},
		},
	}
}

// faultSchema is a fault's fields but the one that says where it happens.
func faultSchema(k Kind, duration object) (fields object, required []string) {
	fields = object{
		"fault": object{"const": k.Name, "description": k.Doc}, "for": duration, "when": stateSchema(),
	}
	required = append([]string{"fault"}, k.Needs...)
	if !k.Instant {
		required = append(required, "for")
	}
	shapes := numberSchemas(k.Name)
	for _, name := range slices.Concat(k.Needs, k.May) {
		fields[name] = with(shapes[name], "description", faultWords[name])
	}
	return fields, required
}
