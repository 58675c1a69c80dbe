package spec_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/spec"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/policy"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

func system() *topology.Topology {
	retry := policy.Set{Retry: &policy.Retry{Attempts: 3}, Breaker: &policy.Breaker{Failures: 5}}
	return &topology.Topology{
		Nodes: []*topology.Node{
			{Name: "edge.hw", Kind: topology.Fleet},
			{Name: "core.stream", Kind: topology.Broker, Protocol: "kafka"},
			{Name: "core.worker1", Kind: topology.Service, Handlers: []*topology.Handler{{
				Name: "records", Subscribe: "core.stream/events",
				Policy: policy.Set{DeadLetter: &policy.DeadLetter{Attempts: 5}},
				Do: []*topology.Step{{Name: "store lake", Kind: topology.StoreStep,
					Target: "data.lake",
					Policy: retry}},
			}}},
			{Name: "data.lake", Kind: topology.Store},
		},
		Flows: []*topology.Flow{
			{Name: "telemetry", Key: "device", Sinks: []topology.Sink{{Node: "data.lake"}}},
			{Name: "alert", DerivedFrom: "telemetry", Sinks: []topology.Sink{{Node: "data.lake"}}},
			{Name: "partner", Sinks: []topology.Sink{{Node: "data.lake"}}},
		},
	}
}

func names() spec.Names {
	return spec.Of(system(), []string{"outage", "slow-lake"}, []string{"telemetry"})
}

// read parses a list under assert: and gives what is judged, or the mistakes.
func read(t *testing.T, yaml string) (got []string, mistakes string) {
	t.Helper()
	var diags diag.List
	v := yamlpos.Parse("s.yaml", []byte(yaml), &diags)
	for _, a := range spec.Parse(v, names()) {
		got = append(got, a.Name)
	}
	return got, diags.String()
}

func TestParse(t *testing.T) {
	cases := []struct {
		name, yaml string
		want       []string
	}{
		{"delivery/one flow/one check", "- delivery: {flow: partner}",
			[]string{"delivery[partner]"}},
		{"delivery/no flow/every flow under load, derived ones too", "- delivery",
			[]string{"delivery[telemetry]", "delivery[alert]"}},
		{"isolation/as in the design/named by its fault",
			"- isolation: {during: outage, blast_radius: [partner]}",
			[]string{"isolation[outage]"}},
		{"isolation/only some flows judged/named by its fault",
			"- isolation: {during: outage, flows: [alert, telemetry]}", []string{"isolation[outage]"}},
		{"recovery/as in the design/named by its flow",
			"- recovery: {from: outage, flow: partner, within: 5s, hold: 2s}",
			[]string{"recovery[partner]"}},
		{"retry/handler by a suffix/short name",
			"- retry: {handler: worker1.records, amplification: 1.5}",
			[]string{"retry[worker1.records]"}},
		{"dead_letter/channel by a suffix/short name",
			"- dead_letter: {channel: stream/events.dead, count: 3}",
			[]string{"dead_letter[stream/events.dead]"}},
		{"breaker/of a step/short name",
			"- breaker: {handler: worker1.records/store lake, opens: true}",
			[]string{"breaker[worker1.records/store lake]"}},
		{"any/a name of its own/kept", "- order: {flow: telemetry, name: in order}",
			[]string{"in order"}},
		{"any/without fields/taken", "- conservation:\n- load\n- steady", []string{"conservation",
			"load", "steady"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, mistakes := read(t, c.yaml)
			if mistakes != "" {
				t.Errorf("mistakes:\n%s", mistakes)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("checks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	cases := []struct{ name, yaml, want string }{
		{"word/unknown/nearest", "- deliver: {flow: partner}",
			`s.yaml:1:3: unknown assertion "deliver", accepted: auth, breaker, bulkhead, conservation, ` +
				`dead_letter, delivery, faults, idempotence, isolation, load, order, recovery and 5 more; ` +
				`did you mean "delivery" [unknown-assertion]`},
		{"key/unknown/nearest", "- delivery: {flw: partner}",
			`s.yaml:1:14: unknown key "flw", accepted: flow, name; did you mean "flow" [unknown-key]`},
		{"flow/unknown/nearest", "- delivery: {flow: partne}",
			`s.yaml:1:20: flow "partne" is not in the scenario, accepted: alert, partner, telemetry; ` +
				`did you mean "partner" [unknown-flow]`},
		{"fault/never injected/nearest", "- isolation: {during: outrage}",
			`s.yaml:1:23: fault "outrage" is never injected by the timeline; name one of its acts, accepted: outage, slow-lake; ` +
				`did you mean "outage" [unknown-fault]`},
		{"isolation/a flow both judged and in the blast radius/refused",
			"- isolation: {during: outage, blast_radius: [partner], flows: [telemetry, partner]}",
			`s.yaml:1:75: flow "partner" is both in the blast radius and judged [contradiction]`},
		{"field/missing/named", "- recovery: {flow: partner}",
			`s.yaml:1:3: recovery needs "from": the fault whose heal the time counts from [missing-key]`},
		{"handler/unknown/nearest", "- retry: {handler: worker1.record}",
			`s.yaml:1:20: "worker1.record" is no handler: node core.worker1 has no handler "record", ` +
				`accepted: records; did you mean "records" [unknown-handler]`},
		{"channel/no dead-letter channel/nearest", "- dead_letter: {channel: stream/event.dead}",
			`s.yaml:1:26: "stream/event.dead" is no dead-letter channel, accepted: stream/events.dead; ` +
				`did you mean "stream/events.dead" [unknown-channel]`},
		{"duration/no unit/hint", "- recovery: {from: outage, flow: partner, within: 5}",
			`s.yaml:1:51: "5" is not a duration, write a number with ns, us, ms, s, m or h; ` +
				`did you mean "5ms" or "5s" [wrong-unit]`},
		{"item/two words/refused", "- delivery: {flow: partner}\n  order: {flow: partner}",
			`s.yaml:2:3: an item holds one assertion, "order" is a second one: begin it with "- " ` +
				`[two-assertions]`},
		{"name/twice/refused", "- delivery: {flow: partner}\n- delivery: {flow: partner}",
			`s.yaml:2:3: "delivery[partner]" is already asserted at line 1, give this one a name of its own ` +
				`[repeated-assertion]`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, mistakes := read(t, c.yaml)
			if diff := cmp.Diff(c.want+"\n", mistakes); diff != "" {
				t.Errorf("mistakes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestImplied(t *testing.T) {
	want := []string{"steady", "load", "faults", "delivery[telemetry]", "order[telemetry]",
		"trace[telemetry]",
		"delivery[alert]", "trace[alert]", "conservation", "dead_letter[stream/events.dead]",
		"retry[worker1.records]", "breaker[worker1.records/store lake]"}
	var got []string
	all := spec.Implied(system(), []string{"telemetry"}, []string{"outage"})
	for _, a := range all {
		got = append(got, a.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("implied (-want +got):\n%s", diff)
	}
	var diags diag.List
	v := yamlpos.Parse("s.yaml", []byte("- retry: {handler: worker1.records, amplification: 2}\n"+
		"- recovery: {from: outage, flow: partner, within: 4s, hold: 1s}"), &diags)
	merged := spec.Merge(all, spec.Parse(v, names()))
	if len(merged) != len(all)+1 || merged[10].Position.Line == 0 ||
		merged[10].Name != "retry[worker1.records]" {
		t.Errorf("a written assertion did not take the implied one's place")
	}
	if last := merged[len(merged)-1]; last.Recover != 5*time.Second || last.Fault != "outage" {
		t.Errorf("recovery needs %v after %q", last.Recover, last.Fault)
	}
}

func TestExpect(t *testing.T) {
	leaked := assertions.Verdict{Name: "isolation[outage]", Property: "isolation",
		Value:   assertions.Invalid,
		Summary: "1 leaked", Anomalies: []assertions.Anomaly{{Kind: "leaked", Flow: "telemetry",
			Message: 7,
			Text:    "telemetry was hurt"}}}
	valid := assertions.Verdict{Name: "delivery[telemetry]", Property: "delivery",
		Flow:  "telemetry",
		Value: assertions.Valid}
	lost := valid
	lost.Value, lost.Summary = assertions.Invalid, "2 lost"
	const twin = "- {verdict: invalid, assertion: isolation, anomaly: leaked, flow: telemetry}"
	cases := []struct {
		name, yaml string
		verdicts   []assertions.Verdict
		want       []string
	}{
		{"expect/all valid as expected/same", "valid", []assertions.Verdict{valid}, nil},
		{"expect/twin fails as expected/same", twin, []assertions.Verdict{leaked, valid}, nil},
		{"expect/twin is valid/different", twin, []assertions.Verdict{valid},
			[]string{"isolation: expected {verdict: invalid, assertion: isolation, anomaly: leaked, " +
				"flow: telemetry}, got no verdict of that assertion"}},
		{"expect/another one is invalid too/different", twin, []assertions.Verdict{leaked, lost},
			[]string{"delivery[telemetry]: expected valid, got invalid: 2 lost"}},
		{"expect/another flow leaked/different",
			"- {verdict: invalid, assertion: isolation, anomaly: leaked, flow: partner}",
			[]assertions.Verdict{leaked}, []string{
				"isolation: expected {verdict: invalid, assertion: isolation, anomaly: leaked, flow: partner}, " +
					"got no verdict of that assertion",
				"isolation[outage]: expected valid, got invalid: 1 leaked: telemetry was hurt"}},
		{"expect/unknown instead of invalid/different",
			"- {verdict: unknown, assertion: isolation}",
			[]assertions.Verdict{leaked}, []string{
				"isolation: expected {verdict: unknown, assertion: isolation}, got isolation[outage] invalid " +
					"(1 leaked: telemetry was hurt)",
				"isolation[outage]: expected valid, got invalid: 1 leaked: telemetry was hurt"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var diags diag.List
			expect := spec.ParseExpect(yamlpos.Parse("s.yaml", []byte(c.yaml), &diags), names())
			var got []string
			for _, d := range spec.Compare(expect, c.verdicts) {
				got = append(got, d.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" || !diags.Empty() {
				t.Errorf("differences (-want +got):\n%s%s", diff, diags.String())
			}
		})
	}
	t.Run("expect/an anomaly the assertion never finds/mistake", func(t *testing.T) {
		var diags diag.List
		spec.ParseExpect(yamlpos.Parse("s.yaml",
			[]byte("- {verdict: invalid, assertion: order, anomaly: lost}"), &diags), names())
		want := `s.yaml:1:49: order finds no anomaly "lost", accepted: reordered [unknown-anomaly]` + "\n"
		if diff := cmp.Diff(want, diags.String()); diff != "" {
			t.Errorf("mistakes (-want +got):\n%s", diff)
		}
	})
}

// TestExplain asks that every word has a text that names its fields, and an example that is read.
func TestExplain(t *testing.T) {
	for _, word := range spec.Words() {
		text, ok := spec.Explain(word)
		if !ok || !strings.HasPrefix(text, word+" (assertion)") || !strings.Contains(text,
			"Valid needs") {
			t.Errorf("%s is explained by %q", word, text)
		}
	}
	if _, ok := spec.Explain("nonsense"); ok {
		t.Error("nonsense is explained")
	}
	for _, word := range []string{"delivery", "isolation", "retry", "dead_letter", "recovery"} {
		text, _ := spec.Explain(word)
		_, example, _ := strings.Cut(text, "assert:\n")
		if _, mistakes := read(t, example); mistakes != "" && !strings.Contains(mistakes,
			"not in the scenario") {
			t.Errorf("the example of %s has mistakes: %s", word, mistakes)
		}
	}
}

func TestSchema(t *testing.T) {
	assert, expect := compile(t, spec.Schema()), compile(t, spec.ExpectSchema())
	isolation := func(key string) []any {
		return []any{"load", map[string]any{"isolation": map[string]any{key: "outage",
			"blast_radius": []any{"partner"}, "grace": "1s"}}}
	}
	twin := func(anomaly string) []any {
		return []any{map[string]any{"verdict": "invalid", "assertion": "isolation",
			"anomaly": anomaly}}
	}
	cases := []struct {
		name   string
		schema *jsonschema.Schema
		value  any
		good   bool
	}{
		{"assert/as in the design/taken", assert, isolation("during"), true},
		{"assert/a misspelt key/refused", assert, isolation("durng"), false},
		{"expect/one word/taken", expect, "valid", true},
		{"expect/a twin/taken", expect, twin("leaked"), true},
		{"expect/an anomaly nobody finds/refused", expect, twin("licked"), false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if err := c.schema.Validate(c.value); (err == nil) != c.good {
				t.Errorf("validated with %v", err)
			}
		})
	}
}

func compile(t *testing.T, raw json.RawMessage) *jsonschema.Schema {
	t.Helper()
	var doc any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func FuzzParse(f *testing.F) {
	f.Add("- delivery: {flow: partner}")
	f.Add("- isolation: {during: outage, blast_radius: [partner]}\n- x\n- {}\n- []\n- ~")
	f.Fuzz(func(t *testing.T, yaml string) {
		var diags diag.List
		v := yamlpos.Parse("s.yaml", []byte(yaml), &diags)
		spec.Parse(v, names())
		spec.ParseExpect(v, names())
		lines := strings.Count(yaml, "\n") + 1
		for _, d := range diags.Sorted() {
			if d.Line < 1 || d.Line > lines {
				t.Errorf("%v is outside the file", d)
			}
		}
	})
}
