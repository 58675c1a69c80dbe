package topology

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/policy"
)

// small is a topology that every kind of node is in.
const small = `topology: small
nodes:
  home.app: {kind: fleet, count: 3}
  away.app: {kind: fleet}
  gateway: {kind: service}
  worker: {kind: service}
  cloud: {kind: cloud}
  mqtt: {kind: broker, protocol: mqtt}
  stream: {kind: broker, protocol: kafka}
  lake: {kind: store, protocol: s3}
`

// parsed is a topology without mistakes.
func parsed(t *testing.T, src string, set ...string) *Topology {
	t.Helper()
	topo, diags := Parse("t.yaml", []byte(src), Options{Set: set})
	if !diags.Empty() {
		t.Fatalf("mistakes:\n%s", diags.String())
	}
	return topo
}

func TestLoadGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/ok/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "examples/iot-platform.yaml") {
		name := filepath.Base(file)
		t.Run("model/"+name+"/as in the golden file", func(t *testing.T) {
			topo, diags, err := Load(file, Options{})
			if err != nil || !diags.Empty() {
				t.Fatalf("error %v, mistakes:\n%s", err, diags.String())
			}
			got, err := json.MarshalIndent(topo, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", "ok", name+".json"), string(got)+"\n")
		})
	}
}

func TestLoadFailedRead(t *testing.T) {
	_, diags, err := Load("testdata/absent.yaml", Options{})
	if err == nil || !diags.Empty() {
		t.Fatalf("error %v, mistakes %q; a failed read is an error only", err, diags.String())
	}
}

func TestLoadDrawing(t *testing.T) {
	src := small + "drawing: small.d2\n"
	drawn := Drawing{
		Boxes: []string{"home.app", "extra.box"},
		Links: []Link{{From: "home.app", To: "extra.box", Line: 1}},
	}
	var asked string
	draw := func(file string) (Drawing, diag.List, error) {
		asked = file
		return drawn, diag.List{}, nil
	}
	topo, diags := Parse("some/where/t.yaml", []byte(src), Options{Draw: draw})
	if !diags.Empty() {
		t.Fatal(diags.String())
	}
	if want := filepath.Join("some", "where", "small.d2"); asked != want || topo.Drawing != want {
		t.Errorf("read %q, kept %q, want %q", asked, topo.Drawing, want)
	}
	if diff := cmp.Diff(drawn.Links, topo.Links); diff != "" {
		t.Error(diff)
	}
	if n := topo.Node("extra.box"); n == nil || n.Kind != Service || n.Replicas != 1 {
		t.Errorf("box that nodes: does not list is %+v, want a service", n)
	}
	_, _, err := parse("t.yaml", []byte(src), Options{
		Draw: func(string) (Drawing, diag.List, error) { return Drawing{}, diag.List{}, os.ErrNotExist },
	})
	if err == nil {
		t.Error("drawing that cannot be read gave no error")
	}
}

func TestPolicies(t *testing.T) {
	const head = small + `policies:
  careful:
    timeout: 300ms
    retry:
      attempts: 4
      backoff: {initial: 50ms, factor: 2, max: 1s, jitter: 20%}
      permanent: [4xx]
    breaker: {failures: 5, within: 10s, open: 2s}
flows:
  orders: {path: home.app -> gateway -> stream/orders -> worker -> lake}
channels:
  stream/orders: {dead_letter: {attempts: 3}}
`
	full := policy.Set{
		Timeout: 300 * time.Millisecond,
		Retry: &policy.Retry{
			Attempts: 4, Permanent: []string{"4xx"},
			Backoff: policy.Backoff{
				Initial: 50 * time.Millisecond, Factor: 2, Max: time.Second, Jitter: 0.2,
			},
		},
		Breaker: &policy.Breaker{
			Failures: 5, Within: 10 * time.Second, Open: 2 * time.Second, WhenOpen: "fail",
		},
	}
	less := clonePolicies(full)
	less.Retry.Attempts, less.Breaker, less.Timeout = 2, nil, 0
	stream := policy.DeadLetter{Attempts: 3, Channel: "stream/orders.dead"}
	tests := []struct {
		name, handler, step string
		wantHandler         policy.Set
		wantStep            policy.Set
	}{
		{"use/alone/all of the named", "", "use: careful",
			policy.Set{DeadLetter: &stream}, full},
		{"use/with own fields/own over the named",
			"", "use: careful, retry: {attempts: 2}, breaker: none, timeout: none",
			policy.Set{DeadLetter: &stream}, less},
		{"dead_letter/of the channel/inherited", "", "table: records",
			policy.Set{DeadLetter: &stream}, policy.Set{}},
		{"dead_letter/of its own/kept", "dead_letter: {attempts: 7}, ", "table: records",
			policy.Set{DeadLetter: &policy.DeadLetter{Attempts: 7, Channel: "stream/orders.dead"}},
			policy.Set{}},
		{"dead_letter/none/not inherited", "dead_letter: none, ", "table: records",
			policy.Set{}, policy.Set{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			topo := parsed(t, head, "worker.handlers.take={subscribe: stream/orders, "+tt.handler+
				"do: [{store: lake, "+tt.step+"}]}")
			h := topo.Node("worker").Handler("take")
			if diff := cmp.Diff(tt.wantHandler, h.Policy); diff != "" {
				t.Errorf("handler: %s", diff)
			}
			if diff := cmp.Diff(tt.wantStep, h.Do[0].Policy); diff != "" {
				t.Errorf("step: %s", diff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/err/*.yaml", "testdata/ok/*.yaml", "examples/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src, "worker.replicas=2")
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, set string) {
		topo, diags := Parse("f.yaml", src, Options{Set: []string{set}})
		inside(t, src, diags.Sorted())
		if !diags.Empty() {
			return
		}
		for _, n := range topo.Nodes {
			if full, err := topo.Resolve(n.Name); err != nil || full != n.Name {
				t.Fatalf("node %q resolves to %q, %v", n.Name, full, err)
			}
		}
		for _, w := range topo.Wires() {
			if topo.Node(w.From) == nil || topo.Node(w.To) == nil {
				t.Fatalf("wire %v has an end that is no node", w)
			}
		}
		for _, flow := range topo.Flows {
			topo.FlowNodes(flow.Name)
		}
	})
}
