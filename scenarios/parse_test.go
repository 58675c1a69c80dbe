package scenarios

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/faultline-sim/faultline/assertions/spec"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/diag"
)

// mustLoad reads a scenario that has no mistakes.
func mustLoad(t testing.TB, file string, opt Options) *Scenario {
	t.Helper()
	s, diags, err := Load(file, opt)
	if err != nil || !diags.Empty() {
		t.Fatalf("%v\n%s", err, diags.String())
	}
	return s
}

// written is the file of a scenario on the small system of testdata.
func written(t testing.TB, text string) string {
	t.Helper()
	small, err := filepath.Abs("testdata/small.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "written.yaml")
	if err := os.WriteFile(file, []byte("topology: "+small+"\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// loadText reads a scenario on the small system of testdata.
func loadText(t testing.TB, text string) (*Scenario, diag.List) {
	t.Helper()
	s, diags, err := Load(written(t, text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s, diags
}

const ms = time.Millisecond

func fault(f Fault) *Fault { return &f }

func TestEveryFieldHasItsPlace(t *testing.T) {
	got := mustLoad(t, "testdata/good/everything.yaml", Options{})
	archive := []topology.Wire{{From: "worker", To: "archive"}}
	want := &Scenario{
		Name: "everything", Description: "Each field has its place.",
		File: "testdata/good/everything.yaml", TopologyFile: "testdata/small.yaml", Seed: 42, Engines: "auto", Time: "virtual",
		Load: []FlowLoad{{Flow: "orders", Rate: 10, To: 1, Over: 4 * time.Second, Poisson: true,
			Bursts: []Burst{
				{Rate: 100, From: time.Second, For: 500 * ms, Every: 2 * time.Second},
				{Times: 2.5, For: time.Second},
			}}},
		Steady: 2 * time.Second, Recover: 11 * time.Second, Drain: 6 * time.Second,
		Deadline: 90 * time.Second,
		Timeline: []Act{
			{Name: "slow", Fault: fault(Fault{Kind: "latency", For: time.Second, Wires: archive,
				Replica: -1, Share: 1,
				Direction: "replies", Latency: 300 * ms})},
			{Name: "thin", At: time.Second, Fault: fault(Fault{Kind: "bandwidth", For: time.Second,
				Wires:   archive,
				Replica: 1, Share: 1, Direction: "both", Rate: 64_000})},
			{Name: "slicer-3", At: 500 * ms, Fault: fault(Fault{Kind: "slicer", For: time.Second,
				Wires:   archive,
				Replica: 0, Share: 1, Direction: "both", Bytes: 1024, Latency: 10 * ms})},
			{Name: "cut-4", At: 1800 * ms, Fault: fault(Fault{Kind: "cut", For: time.Second,
				Replica: -1, Share: 1,
				Wires: []topology.Wire{{From: "api", To: "queue"}}})},
			{Name: "restart-5", At: 3 * time.Second, Fault: fault(Fault{Kind: "restart",
				Nodes:   []string{"worker"},
				Replica: 2, Share: 1})},
			{Name: "errors-6", At: 3 * time.Second, Fault: fault(Fault{Kind: "errors",
				For:   time.Second,
				Nodes: []string{"worker"}, Replica: -1, Share: 0.25, Status: 503, Flow: "orders"})},
			{Name: "quota-7", At: 3 * time.Second, Fault: fault(Fault{Kind: "quota",
				For:   time.Second,
				Nodes: []string{"api"}, Replica: -1, Share: 1, Rate: 0.5})},
			{Name: "burst-8", At: 4 * time.Second, Fault: fault(Fault{Kind: "burst",
				For: time.Second, Replica: -1,
				Share: 1, Flow: "orders", Factor: 3})},
			{Name: "reconnect_herd-9", At: 4 * time.Second,
				Fault: fault(Fault{Kind: "reconnect_herd",
					Nodes: []string{"clients"}, Replica: -1, Share: 0.5, Login: true})},
			{Name: "leader_move-10", At: 4 * time.Second, Fault: fault(Fault{Kind: "leader_move",
				For:   2 * time.Second,
				Nodes: []string{"queue"}, Replica: -1, Share: 1})},
			{Name: "wider", At: 5 * time.Second, Scale: []Scale{{"worker", 4}, {"api", 2}}},
			{Name: "redrive-12", At: 6 * time.Second, Redrive: "queue/orders.dead"},
		},
		Assert: Assertions{Expected: true, Expect: []spec.Expectation{{Verdict: "invalid",
			Assertion: "delivery[orders]",
			Position:  diag.Position{File: "testdata/good/everything.yaml", Line: 36, Column: 5}}}},
	}
	aside := cmpopts.IgnoreFields(Scenario{}, "Promise", "AsBuilt", "Assert.All")
	if diff := cmp.Diff(want, got, aside); diff != "" {
		t.Errorf("scenario (-want +got):\n%s", diff)
	}
	type system struct {
		Replicas int
		Ack      string
	}
	of := func(t *topology.Topology) system {
		n := t.Node("worker")
		return system{n.Replicas, n.Handlers[0].Ack}
	}
	promised, built := of(got.Promise), of(got.AsBuilt)
	if diff := cmp.Diff([]system{{3, "after_work"}, {3, "before_work"}},
		[]system{promised, built}); diff != "" {
		t.Errorf("promise and as built (-want +got):\n%s", diff)
	}
}

func TestDefaults(t *testing.T) {
	s, diags := loadText(t, "load: {orders: 10/s}\n")
	if !diags.Empty() {
		t.Fatal(diags.String())
	}
	got := *s
	got.File, got.TopologyFile = "", ""
	want := Scenario{Name: "written", Seed: 1, Engines: "auto", Time: "virtual", Load: []FlowLoad{{Flow: "orders", Rate: 10}},
		Steady:  5 * time.Second,
		Recover: 10 * time.Second, Drain: 15 * time.Second, Deadline: 90 * time.Second}
	aside := cmpopts.IgnoreFields(Scenario{}, "Promise", "AsBuilt", "Assert.All")
	if diff := cmp.Diff(want, got, aside); diff != "" {
		t.Errorf("scenario (-want +got):\n%s", diff)
	}
	var judged []string
	for _, a := range s.Assert.All {
		judged = append(judged, a.Name)
	}
	implied := []string{"delivery[orders]", "load", "steady", "trace[orders]",
		"dead_letter[queue/orders.dead]"}
	for _, name := range implied {
		if !strings.Contains(strings.Join(judged, " "), name) {
			t.Errorf("%s is not judged, only %v", name, judged)
		}
	}
	if s.AsBuilt != s.Promise {
		t.Error("a system without an overlay is built otherwise than promised")
	}
}

func TestTheCommandLineOverrides(t *testing.T) {
	seed := uint64(7)
	s := mustLoad(t, "testdata/good/everything.yaml", Options{Seed: &seed,
		Set: []string{"archive.engine=embedded"}})
	if s.Seed != 7 || s.Promise.Node("archive").Engine != "embedded" ||
		s.AsBuilt.Node("archive").Engine != "embedded" {
		t.Errorf("seed %d, archive promised %q, built %q", s.Seed, s.Promise.Node("archive").Engine,
			s.AsBuilt.Node("archive").Engine)
	}
	if _, diags, err := Load("testdata/good/everything.yaml",
		Options{Set: []string{"archve.engine=x"}}); err != nil || diags.Empty() {
		t.Errorf("a setting of a node that is not there was taken: %v", err)
	}
}

func TestAScenarioThatCannotBeReadIsAnError(t *testing.T) {
	for _, file := range []string{"testdata/nowhere.yaml", "testdata"} {
		if s, diags, err := Load(file, Options{}); s != nil || err == nil || !diags.Empty() {
			t.Errorf("%s: error %v, mistakes %s", file, err, diags.String())
		}
	}
}

func TestMoments(t *testing.T) {
	tests := []struct {
		name, at string
		want     time.Duration
	}{
		{"moment/plain/from the end of steady", "1500ms", 1500 * ms},
		{"moment/start/when the other begins", "outage.start", 2 * time.Second},
		{"moment/end/when the other heals", "outage.end", 5 * time.Second},
		{"moment/later/added", "outage.end + 1s", 6 * time.Second},
		{"moment/later without blanks/added", "outage.end+1m", 65 * time.Second},
		{"moment/earlier/taken away", "outage.end - 500ms", 4500 * ms},
		{"moment/leans on what leans/both", "then.end + 1s", 9 * time.Second},
		{"moment/a name with dots/the whole name", "a.b.end", 11 * time.Second},
		{"moment/act without a duration/its moment", "wider.end", 3 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, diags := loadText(t, `load: {orders: 10/s}
timeline:
  - {name: asked, at: `+tt.at+`, redrive: queue/orders.dead}
  - {name: then, at: outage.end + 2s, for: 1s, wire: worker -> queue, fault: cut}
  - {name: outage, at: 2s, for: 3s, wire: worker -> archive, fault: cut}
  - {name: a.b, at: 10s, for: 1s, wire: worker -> archive, fault: cut}
  - {name: wider, at: 3s, scale: {worker: 4}}
`)
			if !diags.Empty() {
				t.Fatal(diags.String())
			}
			if got := s.Timeline[0].At; got != tt.want {
				t.Errorf("%q is at %s, want %s", tt.at, got, tt.want)
			}
		})
	}
}

func TestOverlaps(t *testing.T) {
	tests := []struct {
		name, one, two string
		refused        bool
	}{
		{"overlap/same wire and kind/refused", "wire: worker -> archive, fault: cut",
			"wire: worker -> archive, fault: cut", true},
		{"overlap/a pattern that has the wire/refused", `wire: "* -> archive", fault: cut`,
			"wire: worker -> archive, fault: cut", true},
		{"overlap/all replicas and one/refused", "node: worker, fault: stop",
			`node: "worker[1]", fault: stop`, true},
		{"overlap/two replicas/taken", `node: "worker[0]", fault: stop`,
			`node: "worker[1]", fault: stop`, false},
		{"overlap/other kind/taken", "wire: worker -> archive, fault: cut",
			"wire: worker -> archive, fault: reset", false},
		{"overlap/other wire/taken", "wire: worker -> queue, fault: cut",
			"wire: worker -> archive, fault: cut", false},
		{"overlap/one flow, two nodes/taken", "node: worker, fault: errors, flow: orders",
			"node: api, fault: errors, flow: orders", false},
		{"overlap/two bursts of a flow/refused", "fault: burst, flow: orders, factor: 2",
			"fault: burst, flow: orders, factor: 3", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, diags := loadText(t, `load: {orders: 10/s}
timeline:
  - {at: 0s, for: 10s, `+tt.one+`}
  - {at: 5s, for: 1s, `+tt.two+`}
`)
			if diags.Empty() == tt.refused {
				t.Errorf("refused %v, want %v: %s", !diags.Empty(), tt.refused, diags.String())
			}
			_, apart := loadText(t, `load: {orders: 10/s}
timeline:
  - {at: 0s, for: 5s, `+tt.one+`}
  - {at: 5s, for: 1s, `+tt.two+`}
`)
			if !apart.Empty() {
				t.Errorf("one after the other is refused: %s", apart.String())
			}
		})
	}
}

func TestAmountsOfBytes(t *testing.T) {
	tests := []struct {
		name, text string
		want       float64
		ok         bool
	}{
		{"bytes/bytes/as they are", "512B", 512, true},
		{"bytes/thousands/decimal", "64KB", 64_000, true},
		{"bytes/binary/1024", "64KiB", 65_536, true},
		{"bytes/part of a unit/rounded by the reader", "1.5MiB", 1_572_864, true},
		{"bytes/blank before the unit/read", " 2 MB ", 2_000_000, true},
		{"bytes/giga/read", "1GB", 1e9, true},
		{"bytes/no unit/refused", "512", 0, false},
		{"bytes/no number/refused", "KB", 0, false},
		{"bytes/bits/refused", "8Kb", 0, false},
		{"bytes/none/refused", "0B", 0, false},
		{"bytes/negative/refused", "-1B", 0, false},
		{"bytes/not a number/refused", "NaNB", 0, false},
		{"bytes/endless/refused", "InfB", 0, false},
		{"bytes/beyond reason/refused", "1e30GB", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := parseBytes(tt.text)
			if ok != tt.ok || ok && got != tt.want {
				t.Errorf("%v, %v, want %v, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestAnAmountOfBytesComesBackFromItsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.OneOf(rapid.Int64Range(1, maxBytes),
			rapid.SampledFrom([]int64{1, 1000, 1024, 64_000, 1 << 20, 3_000_000,
				5 << 30})).Draw(t, "bytes")
		if got, ok := parseBytes(bytesText(want)); !ok || int64(got) != want {
			t.Fatalf("%q is read as %v", bytesText(want), got)
		}
	})
}
