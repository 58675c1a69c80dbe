package topology

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

// compiledSchema is Schema as an editor would use it.
func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("topology.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("topology.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// readable is a fixture's content, false when it is not even YAML as topologies want it.
func readable(t *testing.T, file string) (any, bool) {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var diags diag.List
	v := yamlpos.Parse(file, src, &diags)
	return v.Any(), diags.Empty()
}

func TestSchemaTakesWhatLoads(t *testing.T) {
	schema := compiledSchema(t)
	var files []string
	for _, pattern := range []string{"testdata/ok/*.yaml", "examples/*.yaml", "d2/testdata/*.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no file matches %s (%v)", pattern, err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		doc, ok := readable(t, file)
		if !ok {
			t.Errorf("%s is not readable", file)
		}
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s loads, but the schema refuses it: %v", file, err)
		}
	}
}

// TestSchemaRefuses names fixtures that a schema can refuse: those whose mistake is in one place and
// not about what another name stands for.
func TestSchemaRefuses(t *testing.T) {
	schema := compiledSchema(t)
	want := []string{
		"field-of-other-kind", "key-of-other-step", "list-for-mapping", "no-name", "no-protocol",
		"no-trigger", "number-out-of-range", "protocol-of-other-kind", "quota-without-unit",
		"timeout-without-unit", "two-steps", "two-triggers", "unknown-guarantee", "unknown-key",
		"unknown-kind", "unknown-section", "unknown-step",
	}
	files, err := filepath.Glob("testdata/err/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var refused []string
	for _, file := range files {
		doc, ok := readable(t, file)
		if ok && schema.Validate(doc) != nil {
			refused = append(refused, strings.TrimSuffix(filepath.Base(file), ".yaml"))
		}
	}
	for _, name := range want {
		if !slices.Contains(refused, name) {
			t.Errorf("the schema takes %s", name)
		}
	}
	if len(refused) < 10 {
		t.Errorf("the schema refuses only %v", refused)
	}
}
