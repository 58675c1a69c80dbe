package topology

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func iotPlatform(t *testing.T) *Topology {
	t.Helper()
	top, diags, err := Load("examples/iot-platform.yaml", Options{})
	if err != nil || !diags.Empty() {
		t.Fatalf("load: %v\n%s", err, diags.String())
	}
	return top
}

// blastOf names a fault by short names: "node", or "from -> to" for a wire.
func blastOf(t *testing.T, top *Topology, fault string) []Hurt {
	t.Helper()
	if strings.Contains(fault, "->") {
		w, err := top.Wire(fault)
		if err != nil {
			t.Fatal(err)
		}
		return top.PredictPaths(nil, []Wire{w})
	}
	full, err := top.Resolve(fault)
	if err != nil {
		t.Fatal(err)
	}
	return top.PredictPaths([]string{full}, nil)
}

func TestPredictIotPlatform(t *testing.T) {
	cases := []struct {
		name, fault string
		want        []string
	}{
		{"isolation/partner cloud/partners only", "3rd_party.cloud", []string{"partner", "partner-app"}},
		{"isolation/webhook/partners only", "cloud -> bridge", []string{"partner", "partner-app"}},
		{"isolation/login/nobody who is connected", "device.hw -> auth", nil},
		{"isolation/worker1/telemetry behind the stream", "worker1", []string{"telemetry"}},
		{"isolation/worker2/what it handles", "worker2",
			[]string{"alert", "command", "partner", "partner-app"}},
		{"isolation/data api/all that call it", "data_api",
			[]string{"telemetry", "app-query", "partner", "partner-app"}},
		{"isolation/warehouse/telemetry's second branch", "data_warehouse", []string{"telemetry"}},
		{"isolation/datalake/who waits for the api", "worker1 -> data_api", []string{"telemetry"}},
		{"isolation/devices/what derives from them", "device.hw -> mqtt",
			[]string{"telemetry", "alert", "command"}},
		{"isolation/rules to stream/commands go on", "event_rule -> stream",
			[]string{"telemetry", "alert", "partner", "partner-app"}},
		{"isolation/gateway to workers/commands", "api_gateway -> worker2", []string{"command"}},
	}
	top := iotPlatform(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, h := range blastOf(t, top, c.fault) {
				got = append(got, h.Flow)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("blast radius (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPredictReasons(t *testing.T) {
	top := iotPlatform(t)
	want := []Hurt{
		{"telemetry", []string{"data_core.data_api -> data_core.datalake", "data_core.data_api records",
			"service_platform.container.worker1 records", "telemetry"}},
		{"app-query", []string{"data_core.data_api -> data_core.datalake", "data_core.data_api query",
			"service_platform.api_gateway query", "app-query"}},
		{"partner", []string{"data_core.data_api -> data_core.datalake", "data_core.data_api records",
			"service_platform.container.worker2 partner", "partner"}},
		{"partner-app", []string{"data_core.data_api -> data_core.datalake", "data_core.data_api records",
			"service_platform.container.worker2 partner", "partner-app"}},
	}
	if diff := cmp.Diff(want, blastOf(t, top, "data_api -> datalake")); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
	names := top.Predict(nil, []Wire{{From: "data_core.data_api", To: "data_core.datalake"}})
	flows := []string{"telemetry", "app-query", "partner", "partner-app"}
	if diff := cmp.Diff(flows, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// TestPredictRules plants one shape at a time.
func TestPredictRules(t *testing.T) {
	const nodes = `
nodes:
  a: {kind: fleet}
  b: {kind: fleet}
  q: {kind: broker, protocol: kafka}
  m: {kind: broker, protocol: mqtt}
  d: {kind: store, protocol: redis}
  e: {kind: store, protocol: redis}
`
	cases := []struct {
		name, src, fault string
		want             []string
	}{
		{"isolation/own handlers/others untouched", `
  s:
    kind: service
    handlers: {x: {http: POST /x, do: [{store: d}]}, y: {http: POST /y, do: [{store: e}]}}
flows: {x: {path: a -> s -> d}, y: {path: b -> s -> e}}`, "s -> d", []string{"x"}},
		{"isolation/bounded pool/shared", `
  s:
    kind: service
    pool: 4
    handlers: {x: {http: POST /x, do: [{store: d}]}, y: {http: POST /y, do: [{store: e}]}}
flows: {x: {path: a -> s -> d}, y: {path: b -> s -> e}}`, "s -> d", []string{"x", "y"}},
		{"isolation/shared handler/shared", `
  s: {kind: service, handlers: {x: {http: POST /x, do: [{store: d, flows: x}, {store: e}]}}}
flows: {x: {path: a -> s -> d}, y: {path: b -> s -> e}}
`, "s -> d", []string{"x", "y"}},
		{"isolation/channel between/caller goes on", `
  s: {kind: service}
  w: {kind: service}
flows: {x: {path: a -> s -> q/x -> w -> d}, y: {path: b -> s -> e}}`, "w -> d", []string{"x"}},
		{"isolation/answers before work/caller goes on", `
  s:
    kind: service
    pool: 1
    handlers: {x: {http: POST /x, do: [{call: w POST /x}]}, y: {http: POST /y, do: [{store: e}]}}
  w: {kind: service, handlers: {x: {http: POST /x, ack: before_work, do: [{store: d}]}}}
flows: {x: {path: a -> s -> w -> d}, y: {path: b -> s -> e}}`, "w -> d", []string{"x"}},
		{"isolation/derived upstream of its birth/hurt", `
  s: {kind: service}
  w: {kind: service}
  v: {kind: service}
flows:
  x: {path: a -> m/x -> s -> q/x -> w -> d}
  y: {path: s -> q/y -> v -> e, derived_from: x, when: data.t > 1}`, "a -> m", []string{"x", "y"}},
		{"isolation/derived downstream of its birth/untouched", `
  s: {kind: service}
  w: {kind: service}
  v: {kind: service}
flows:
  x: {path: a -> m/x -> s -> q/x -> w -> d}
  y: {path: s -> q/y -> v -> e, derived_from: x, when: data.t > 1}`, "w -> d", []string{"x"}},
		{"isolation/derived's own way/parent untouched", `
  s: {kind: service}
  w: {kind: service}
  v: {kind: service}
flows:
  x: {path: a -> m/x -> s -> q/x -> w -> d}
  y: {path: s -> q/y -> v -> e, derived_from: x, when: data.t > 1}`, "v -> e", []string{"y"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			src := "topology: t" + nodes + strings.TrimPrefix(c.src, "\n")
			if c.name == "isolation/shared handler/shared" {
				src = strings.Replace(src, "b: {kind: fleet}",
					"b: {kind: fleet, sends: {y: {to: s POST /x}}}", 1)
			}
			var got []string
			for _, h := range blastOf(t, designed(t, strings.TrimPrefix(src, "topology: t\n")), c.fault) {
				got = append(got, h.Flow)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("blast radius (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUpstreamAndDownstream(t *testing.T) {
	top := iotPlatform(t)
	cases := []struct {
		name      string
		got, want []string
	}{
		{"graph/down from the api/not to other channels of its broker",
			top.Downstream("data_core.data_api"), []string{
				"service_platform.core.messaging.stream", "data_core.datalake", "data_core.etl_service",
				"data_core.data_warehouse"}},
		{"graph/up from the cloud/who sends and who asks", top.Upstream("3rd_party.cloud"), []string{
			"3rd_party.hw", "3rd_party.app", "service_platform.bridge"}},
		{"graph/down from a store without lookups/nothing",
			top.Downstream("data_core.data_warehouse"), nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.got); diff != "" {
				t.Errorf("nodes (-want +got):\n%s", diff)
			}
		})
	}
}
