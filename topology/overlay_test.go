package topology

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/policy"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// laidOver is t with an overlay, and what is wrong with the overlay.
func laidOver(topo *Topology, src string, opt OverlayOptions) (*Topology, string) {
	var diags diag.List
	v := yamlpos.Parse("o.yaml", []byte(src), &diags)
	changed := topo.Overlay(v, opt)
	return changed, diags.String()
}

const worker1 = "service_platform.container.worker1"

func TestOverlayChanges(t *testing.T) {
	asBuilt := OverlayOptions{AsBuilt: true}
	records := func(topo *Topology) *Handler { return topo.Node(worker1).Handler("records") }
	call := func(topo *Topology) *Step { return records(topo).Do[1] }
	tests := []struct {
		name, src string
		opt       OverlayOptions
		change    func(*Topology)
	}{
		{"overlay/dotted key/one field changes", "worker1.handlers.records: {ack: before_work}", asBuilt,
			func(t *Topology) { records(t).Ack = "before_work" }},
		{"overlay/nested mappings/one field changes", "worker1: {handlers: {records: {order: none}}}",
			asBuilt, func(t *Topology) { records(t).Order = "none" }},
		{"overlay/step by name/merged",
			`worker1.handlers.records: {do: {"call data_api": {retry: {backoff: none, attempts: 100}}}}`,
			asBuilt, func(t *Topology) {
				call(t).Policy.Retry.Attempts, call(t).Policy.Retry.Backoff = 100, policy.Backoff{}
			}},
		{"overlay/step by full name/merged",
			`worker1.handlers.records.do: {call data_core.data_api: {timeout: none, breaker: none}}`,
			asBuilt, func(t *Topology) { call(t).Policy.Timeout, call(t).Policy.Breaker = 0, nil }},
		{"overlay/step by number/merged", `worker1.handlers.records.do.1.retry: none`,
			asBuilt, func(t *Topology) { call(t).Policy.Retry = nil }},
		{"overlay/deep dotted key/merged",
			`worker1.handlers.records.do.call data_api.retry.permanent: none`,
			asBuilt, func(t *Topology) { call(t).Policy.Retry.Permanent = nil }},
		{"overlay/work step/its own fields", `worker1.handlers.records.do.work: {p99: 1s}`,
			asBuilt, func(t *Topology) { records(t).Do[0].P99 = time.Second }},
		{"overlay/dropped/as built", "worker1.handlers.records: {dead_letter: dropped}",
			asBuilt, func(t *Topology) { records(t).Policy.DeadLetter.Dropped = true }},
		{"overlay/session/merged",
			"device.hw: {session: {clean: true, reconnect: none, connect_rate: none}}",
			asBuilt, func(t *Topology) {
				s := &t.Node("device.hw").Session
				s.Clean, s.Reconnect, s.ConnectRate = true, policy.Backoff{}, 0
			}},
		{"overlay/list of steps/replaced", "worker1.handlers.records: {do: [{work: 5ms}]}",
			asBuilt, func(t *Topology) {
				records(t).Do = []*Step{{
					Name: "work", Kind: Work, P50: 5 * time.Millisecond, P99: 5 * time.Millisecond,
				}}
			}},
		{"overlay/refined box/its children", "messaging: {stream: {brokers: 1}}",
			OverlayOptions{}, func(t *Topology) {
				t.Node("service_platform.core.messaging.stream").Brokers = 1
			}},
		{"overlay/nodes section/as in a file", "nodes: {worker1: {replicas: 4}}",
			OverlayOptions{}, func(t *Topology) { t.Node(worker1).Replicas = 4 }},
		{"overlay/flows section/one field changes", "flows.telemetry.sinks.datalake.p99: 2s",
			OverlayOptions{}, func(t *Topology) { t.Flow("telemetry").Sinks[0].P99 = 2 * time.Second }},
		{"overlay/channel/handlers that inherit follow",
			"channels: {stream/events: {dead_letter: {attempts: 9}}}",
			OverlayOptions{}, func(t *Topology) {
				t.Channel("service_platform.core.messaging.stream/events").DeadLetter.Attempts = 9
				records(t).Policy.DeadLetter.Attempts = 9
			}},
		{"overlay/nothing/nothing", "{}", asBuilt, func(*Topology) {}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			topo := iot(t)
			untouched := asJSON(t, topo)
			got, mistakes := laidOver(topo, tt.src, tt.opt)
			if mistakes != "" {
				t.Fatal(mistakes)
			}
			if diff := cmp.Diff(untouched, asJSON(t, topo)); diff != "" {
				t.Errorf("the overlay changed what it was laid over: %s", diff)
			}
			want := topo.clone()
			tt.change(want)
			for _, one := range []*Topology{got, want} {
				for _, n := range one.Nodes {
					n.At = diag.Position{}
				}
				for _, c := range one.Channels {
					c.At = diag.Position{}
				}
				for _, f := range one.Flows {
					f.At = diag.Position{}
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func asJSON(t *testing.T, topo *Topology) string {
	t.Helper()
	b, err := json.MarshalIndent(topo, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestOverlayMistakes(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{"overlay/unknown node/nearest", "wroker1.handlers.records: {ack: before_work}",
			`o.yaml:1:1: node "wroker1" is not in the topology, `},
		{"overlay/unknown step/steps listed", "worker1.handlers.records.do.call datalake: {timeout: 1s}",
			`o.yaml:1:1: step "call datalake" is not in handler "records", accepted: call data_api, work`},
		{"overlay/promise in as built/refused", "flows: {telemetry: {key: x}}",
			`o.yaml:1:1: "flows" is promised, not built; put it under change: [promise-only]`},
		{"overlay/not a mapping/refused", "worker1: 3", `o.yaml:1:10: expected a mapping, found "3"`},
		{"overlay/new mistake of the whole/told", "worker1.handlers.records.do: [call: data_api POST /x]",
			`o.yaml:1:31: no handler of data_core.data_api answers "POST /x", accepted: POST /records`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, got := laidOver(iot(t), tt.src, OverlayOptions{AsBuilt: true})
			if len(got) < len(tt.want) || got[:len(tt.want)] != tt.want {
				t.Errorf("got  %swant %s", got, tt.want)
			}
		})
	}
}

func TestOverlayOfDefaults(t *testing.T) {
	const src = small + "flows:\n  orders: {path: home.app -> gateway -> lake}\n"
	topo := parsed(t, src, "gateway.handlers.orders.concurrency=8")
	if h := topo.Node("gateway").Handler("orders"); h.Concurrency != 8 || len(h.Do) != 1 {
		t.Errorf("the default handler became %+v", h)
	}
	topo = parsed(t, src, "flows.orders.path=away.app -> worker -> lake")
	want := []string{
		"away.app sends orders to worker POST /orders",
		"worker orders: POST /orders", "  store lake records",
	}
	if diff := cmp.Diff(want, outline(topo)); diff != "" {
		t.Error(diff)
	}
}
