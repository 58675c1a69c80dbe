package scenarios

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

func compiledSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("scenario.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("scenario.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// asJSON is a YAML text as a schema sees it.
func asJSON(t testing.TB, src string) any {
	t.Helper()
	var diags diag.List
	v := yamlpos.Parse("scenario.yaml", []byte(src), &diags)
	if !diags.Empty() {
		t.Fatal(diags.String())
	}
	return v.Any()
}

func TestTheSchemaTakesEveryScenarioThatLoads(t *testing.T) {
	var files []string
	for _, pattern := range []string{"library/*/*.yaml", "testdata/plan/*.yaml",
		"testdata/good/*.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(found), err)
		}
		files = append(files, found...)
	}
	schema := compiledSchema(t)
	for _, file := range files {
		t.Run(filepath.ToSlash(file), func(t *testing.T) {
			mustLoad(t, file, Options{})
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(asJSON(t, string(src))); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheSchemaRefuses(t *testing.T) {
	const head = "topology: a.yaml\nload: {orders: 10/s}\n"
	act := func(fields string) string { return head + "timeline: [{" + fields + "}]\n" }
	tests := []struct{ name, src string }{
		{"scenario/without a topology/refused", "load: {orders: 10/s}"},
		{"scenario/without load/refused", "topology: a.yaml"},
		{"scenario/unknown key/refused", head + "stedy: 5s"},
		{"scenario/a list/refused", "[topology, load]"},
		{"seed/negative/refused", head + "seed: -1"},
		{"steady/without a unit/refused", head + "steady: 5"},
		{"steady/words/refused", head + "steady: 5 seconds"},
		{"load/of nothing/refused", "topology: a.yaml\nload: {}"},
		{"load/without a unit/refused", "topology: a.yaml\nload: {orders: 10}"},
		{"load/rate and ramp/refused",
			"topology: a.yaml\nload: {orders: {rate: 1/s, ramp: 1/s..2/s, over: 3s}}"},
		{"load/ramp without over/refused", "topology: a.yaml\nload: {orders: {ramp: 1/s..2/s}}"},
		{"load/burst without an end/refused",
			"topology: a.yaml\nload: {orders: {rate: 1/s, burst: {times: 3}}}"},
		{"act/without a time/refused", act("for: 1s, wire: a -> b, fault: cut")},
		{"act/of two kinds/refused", act("at: 0s, redrive: a, scale: {a: 1}")},
		{"act/of no kind/refused", act("at: 0s")},
		{"scale/of nothing/refused", act("at: 0s, scale: {}")},
		{"scale/to a word/refused", act("at: 0s, scale: {a: many}")},
		{"fault/unknown/refused", act("at: 0s, for: 1s, wire: a -> b, fault: sever")},
		{"fault/without an end/refused", act("at: 0s, wire: a -> b, fault: cut")},
		{"fault/without its number/refused", act("at: 0s, for: 1s, wire: a -> b, fault: latency")},
		{"fault/a number it does not read/refused",
			act("at: 0s, for: 1s, wire: a -> b, fault: cut, latency: 1s")},
		{"fault/on the wrong sort of thing/refused", act("at: 0s, for: 1s, node: a, fault: timeout")},
		{"fault/direction/refused",
			act("at: 0s, for: 1s, wire: a -> b, fault: timeout, direction: up")},
		{"fault/status/refused", act("at: 0s, for: 1s, node: a, fault: errors, status: 200")},
		{"fault/bandwidth without bytes/refused",
			act("at: 0s, for: 1s, wire: a -> b, fault: bandwidth, rate: 10/s")},
		{"fault/share above all/refused",
			act("at: 0s, for: 1s, node: a, fault: errors, share: 1.5")},
		{"assert/unknown word/refused", head + "assert: [{isolatoin: {during: x}}]"},
		{"expect/unknown verdict/refused",
			head + "expect: [{verdict: broken, assertion: delivery}]"},
	}
	schema := compiledSchema(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if schema.Validate(asJSON(t, tt.src)) == nil {
				t.Error("the schema takes it")
			}
		})
	}
}

func TestExplainKnowsEveryWord(t *testing.T) {
	for _, k := range Kinds() {
		text, near := Explain(k.Name)
		for _, want := range []string{k.Doc, k.Bite, k.Heal, targetWords(k)} {
			if want == "" || !strings.Contains(text, want) {
				t.Errorf("fault %s: %q is not in its explanation:\n%s", k.Name, want, text)
			}
		}
		for _, field := range slices.Concat(k.Needs, k.May) {
			if numberSchemas(k.Name)[field] == nil {
				t.Errorf("fault %s: field %s has no shape in the schema", k.Name, field)
			}
			if faultWords[field] == "" || !strings.Contains(text, faultWords[field]) {
				t.Errorf("fault %s: field %s is not in its explanation:\n%s", k.Name, field, text)
			}
		}
		if len(near) > 0 {
			t.Errorf("fault %s: it is known, and yet %v is near", k.Name, near)
		}
	}
	for _, word := range Words() {
		if text, _ := Explain(word); text == "" {
			t.Errorf("%q has no explanation", word)
		}
	}
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range topKeys(t, text) {
		if text, _ := Explain(key); text == "" {
			t.Errorf("key %q of a scenario has no explanation", key)
		}
	}
}

// topKeys are the keys that the schema gives a scenario.
func topKeys(t *testing.T, schema []byte) (keys []string) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	for key := range doc.(map[string]any)["properties"].(map[string]any) {
		keys = append(keys, key)
	}
	if len(keys) < 10 {
		t.Fatalf("only keys %v", keys)
	}
	return keys
}

func TestExplainNamesTheNearestWord(t *testing.T) {
	text, near := Explain("latancy")
	if text != "" || !slices.Equal(near, []string{"latency"}) {
		t.Errorf("%q, near %v", text, near)
	}
	if text, near := Explain("qqqqqq"); text != "" || len(near) > 0 {
		t.Errorf("%q, near %v", text, near)
	}
}
