package judge

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/faultline-sim/faultline/reports/rundir"
	"github.com/faultline-sim/faultline/scenarios"
)

// plan is that of a shipped scenario, with all that a plan can have.
func plan(t *testing.T, engines string) *scenarios.Plan {
	t.Helper()
	s, diags, err := scenarios.Load("../testdata/good/everything.yaml",
		scenarios.Options{Engines: engines})
	if err != nil || !diags.Empty() {
		t.Fatal(err, diags.String())
	}
	return scenarios.NewPlan(s)
}

// begun is the folder of a run of a plan that has not ended.
func begun(t *testing.T, p *scenarios.Plan) string {
	t.Helper()
	dir, err := Begin(t.TempDir(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir.Path()
}

func TestAPlanReadIsThePlanWritten(t *testing.T) {
	want := plan(t, "containers")
	got, _, err := load(begun(t, want))
	if err != nil {
		t.Fatal(err)
	}
	aside := []cmp.Option{
		cmpopts.IgnoreFields(scenarios.Scenario{}, "TopologyFile", "Assert"),
		cmpopts.IgnoreUnexported(scenarios.FlowPlan{}), cmpopts.EquateEmpty(),
	}
	if diff := cmp.Diff(want, got, aside...); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

func TestDurationsOfAPlanCarryTheirUnit(t *testing.T) {
	path := filepath.Join(begun(t, plan(t, "auto")), rundir.PlanFile)
	var s struct {
		Format int
		Phases []struct{ Name, To string }
		Acts   []struct {
			At    string
			Fault struct{ For, Latency string }
		}
	}
	if err := readJSON(path, &s); err != nil {
		t.Fatal(err)
	}
	first := []string{s.Phases[0].To, s.Acts[0].At, s.Acts[0].Fault.For, s.Acts[0].Fault.Latency}
	if diff := cmp.Diff([]string{"2s", "2s", "1s", "300ms"}, first); diff != "" {
		t.Errorf("steady, and the first act's at, for and latency (-want +got):\n%s", diff)
	}
}

func TestPlansOfOtherFormats(t *testing.T) {
	tests := []struct {
		name   string
		change func(map[string]any)
		want   string // in the error, "" for none
	}{
		{"format/the first, in nanoseconds/read", func(p map[string]any) {
			first := firstFormat(t, plan(t, "auto"))
			for key := range p {
				p[key] = first[key]
			}
			p["format"] = 1
		}, ""},
		{"format/a later one/refused", func(p map[string]any) { p["format"] = 3 },
			"plan.json has format 3, newer than this program's 2"},
		{"format/a duration without a unit/refused", func(p map[string]any) {
			p["phases"].([]any)[0].(map[string]any)["To"] = 2000
		}, "phases: To: 2000 is no duration, write it as 1.5s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			folder := begun(t, plan(t, "auto"))
			path := filepath.Join(folder, rundir.PlanFile)
			var p map[string]any
			if err := readJSON(path, &p); err != nil {
				t.Fatal(err)
			}
			tt.change(p)
			src, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, src, 0o600); err != nil {
				t.Fatal(err)
			}
			got, _, err := load(folder)
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want %q in it", err, tt.want)
			case tt.want == "" && got.Phase(scenarios.PhaseSteady).To != 2*time.Second:
				t.Errorf("steady lasts %s, want 2s", got.Phase(scenarios.PhaseSteady).To)
			}
		})
	}
}

// firstFormat is a plan as the first format had it.
func firstFormat(t *testing.T, p *scenarios.Plan) (old map[string]any) {
	t.Helper()
	src, err := json.Marshal(saved{
		File: p.File, Seed: p.Seed, Plan: p.String(), Topology: p.TopologyFile,
		Phases: p.Phases, Acts: p.Acts, Flows: p.Flows, Promise: p.Promise, AsBuilt: p.AsBuilt,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(src, &old); err != nil {
		t.Fatal(err)
	}
	return old
}

func TestAKilledRunStoodOnTheEnginesOfItsPlan(t *testing.T) {
	p, facts, err := load(begun(t, plan(t, "containers")))
	if err != nil {
		t.Fatal(err)
	}
	type engine struct{ Node, Set, Name string }
	var got []engine
	for _, e := range withSorts(p, facts.Engines) {
		got = append(got, engine{e.Node, e.Set, e.Name})
	}
	want := []engine{{"queue", "container", "Apache Kafka"}, {"archive", "container", "moto"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("engines (-want +got):\n%s", diff)
	}
	if !strings.Contains(facts.Stopped, "killed") {
		t.Errorf("stopped: %q, want that it was killed", facts.Stopped)
	}
}
