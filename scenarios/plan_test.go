package scenarios

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestPlans holds the plan of each scenario of testdata/plan against what it was.
func TestPlans(t *testing.T) {
	files, err := filepath.Glob("testdata/plan/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d scenarios, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			got := NewPlan(mustLoad(t, file, Options{})).String()
			golden := strings.TrimSuffix(file, ".yaml") + ".out"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func TestASeedFixesThePlan(t *testing.T) {
	arrivals := func(seed uint64) []time.Duration {
		p := NewPlan(mustLoad(t, "testdata/plan/poisson.yaml", Options{Seed: &seed}))
		return slices.Collect(p.Flows[0].Arrivals())
	}
	first := arrivals(1)
	if !slices.Equal(first, arrivals(1)) {
		t.Error("the same seed gave another plan")
	}
	if slices.Equal(first, arrivals(2)) {
		t.Error("another seed gave the same plan")
	}
	if !slices.IsSorted(first) {
		t.Error("arrivals are not in order of time")
	}
}

func TestPlanningLeavesTheScenarioAlone(t *testing.T) {
	s := mustLoad(t, "testdata/plan/burst.yaml", Options{})
	acts, load := slices.Clone(s.Timeline), slices.Clone(s.Load)
	first := NewPlan(s).String()
	if second := NewPlan(s).String(); second != first {
		t.Errorf("a second plan differs:\n%s", cmp.Diff(first, second))
	}
	if diff := cmp.Diff(acts, s.Timeline); diff != "" {
		t.Errorf("timeline changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(load, s.Load); diff != "" {
		t.Errorf("load changed (-before +after):\n%s", diff)
	}
}

func TestABurstIsInTheShape(t *testing.T) {
	p := NewPlan(mustLoad(t, "testdata/plan/burst.yaml", Options{}))
	perSecond := make([]int, 10)
	for at := range p.Flows[0].Arrivals() {
		perSecond[int(at/time.Second)]++
	}
	// steady 2 s, then the burst from 1 s to 3 s of the timeline, then the load's own at 4 s
	want := []int{10, 10, 10, 50, 50, 10, 30, 10, 10, 10}
	if diff := cmp.Diff(want, perSecond); diff != "" {
		t.Errorf("arrivals in each second (-want +got):\n%s", diff)
	}
}

func TestPhasesFollowEachOther(t *testing.T) {
	p := NewPlan(mustLoad(t, "testdata/plan/everything.yaml", Options{}))
	want := []Phase{
		{PhaseSteady, 0, 2 * time.Second},
		{PhaseTimeline, 2 * time.Second, 8 * time.Second},
		{PhaseRecover, 8 * time.Second, 16 * time.Second},
		{PhaseDrain, 16 * time.Second, 22 * time.Second},
	}
	if diff := cmp.Diff(want, p.Phases); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
	if p.LoadEnds() != 16*time.Second || p.Longest() != 22*time.Second {
		t.Errorf("load ends at %s, the run at %s", p.LoadEnds(), p.Longest())
	}
	for f := range p.Flows[0].Arrivals() {
		if f >= p.LoadEnds() {
			t.Fatalf("a message is planned at %s, behind the load's end", f)
		}
	}
}

func TestAFaultTouchesItsWires(t *testing.T) {
	s := mustLoad(t, "testdata/plan/everything.yaml", Options{})
	touched := map[string][]string{}
	for _, a := range s.Timeline {
		for _, w := range s.AsBuilt.Wires() {
			if a.Fault != nil && a.Fault.Touches(w) {
				touched[a.Name] = append(touched[a.Name], w.String())
			}
		}
	}
	want := map[string][]string{
		"slow":   {"worker -> archive"},
		"thin":   {"worker -> archive"},
		"sliced": {"api -> queue", "worker -> queue"},
		"short":  {"api -> queue"},
		"some":   {"worker -> archive", "worker -> queue"},
		"full":   {"api -> queue", "clients -> api"},
		"again":  {"worker -> archive", "worker -> queue"},
		"herd":   {"clients -> api"},
	}
	for _, wires := range touched {
		slices.Sort(wires)
	}
	if diff := cmp.Diff(want, touched); diff != "" {
		t.Errorf("wires touched (-want +got):\n%s", diff)
	}
}
