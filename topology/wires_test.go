package topology

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func iot(t *testing.T) *Topology {
	t.Helper()
	topo, diags, err := Load("examples/iot-platform.yaml", Options{})
	if err != nil || !diags.Empty() {
		t.Fatalf("error %v, mistakes:\n%s", err, diags.String())
	}
	return topo
}

// short is wires with short names, one text each.
func short(topo *Topology, wires []Wire) []string {
	var names []string
	for _, w := range wires {
		names = append(names, topo.Short(w.From)+" -> "+topo.Short(w.To))
	}
	return names
}

func TestWires(t *testing.T) {
	topo := iot(t)
	want := []string{
		"3rd_party.app -> cloud", "cloud -> bridge", "3rd_party.hw -> cloud",
		"data_api -> datalake", "data_api -> stream",
		"etl_service -> data_warehouse", "etl_service -> stream",
		"device.app -> api_gateway", "device.app -> auth",
		"device.hw -> auth", "device.hw -> mqtt",
		"api_gateway -> data_api", "api_gateway -> worker2",
		"bridge -> cloud", "bridge -> mqtt",
		"worker1 -> data_api", "worker1 -> stream",
		"worker2 -> data_api", "worker2 -> api_gateway", "worker2 -> event_rule", "worker2 -> stream",
		"event_rule -> mqtt", "event_rule -> stream",
	}
	if diff := cmp.Diff(want, short(topo, topo.Wires())); diff != "" {
		t.Error(diff)
	}
}

func TestFlowWires(t *testing.T) {
	topo := iot(t)
	tests := map[string][]string{
		"telemetry": {
			"data_api -> datalake", "data_api -> stream", "etl_service -> data_warehouse",
			"etl_service -> stream", "device.hw -> mqtt", "worker1 -> data_api", "worker1 -> stream",
			"event_rule -> mqtt", "event_rule -> stream",
		},
		"alert": {
			"device.app -> api_gateway", "worker2 -> api_gateway", "worker2 -> stream",
			"event_rule -> stream",
		},
		"command": {
			"device.app -> api_gateway", "device.hw -> mqtt", "api_gateway -> worker2",
			"worker2 -> event_rule", "event_rule -> mqtt",
		},
		"app-query": {
			"data_api -> datalake", "device.app -> api_gateway", "api_gateway -> data_api",
		},
		"nobody": nil,
	}
	for flow, want := range tests {
		if diff := cmp.Diff(want, short(topo, topo.FlowWires(flow))); diff != "" {
			t.Errorf("%s: %s", flow, diff)
		}
	}
}

func TestConsumers(t *testing.T) {
	topo := iot(t)
	for ref, want := range map[string]string{
		"service_platform.core.messaging.stream/events":  "service_platform.container.worker1",
		"service_platform.core.messaging.stream/changes": "data_core.etl_service",
		"service_platform.api_gateway/alert/:id":         "device.app",
	} {
		nodes := topo.Consumers(ref)
		if len(nodes) != 1 || nodes[0].Name != want {
			t.Errorf("%s is consumed by %v, want %s", ref, nodes, want)
		}
	}
}

func TestWireByName(t *testing.T) {
	topo := iot(t)
	tests := []struct{ name, ask, want, err string }{
		{"wire/short names/found", "cloud -> bridge",
			"3rd_party.cloud -> service_platform.bridge", ""},
		{"wire/other way/told", "auth -> device.hw", "",
			`wire "auth -> device.hw" is not in the topology, it is dialled the other way; ` +
				`did you mean "device.hw -> auth"`},
		{"wire/star/ambiguous", "worker1 -> *", "",
			`wire "worker1 -> *" is ambiguous, it could be ` +
				`service_platform.container.worker1 -> data_core.data_api or ` +
				`service_platform.container.worker1 -> service_platform.core.messaging.stream`},
		{"wire/no arrow/refused", "cloud", "",
			`wire "cloud" has the wrong form, write it as "from -> to"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := topo.Wire(tt.ask)
			text := ""
			if err == nil {
				text = got.String()
			}
			if text != tt.want || errText(err) != tt.err {
				t.Errorf("got %q, %q\nwant %q, %q", text, errText(err), tt.want, tt.err)
			}
		})
	}
}

func TestDerivedChannels(t *testing.T) {
	for ref, want := range map[string][2]string{
		"stream/events":      {"stream/events.dead", "stream/events.reply"},
		"mqtt/command/:id":   {"mqtt/command.dead", "mqtt/command.reply/:id"},
		`"a/b".c/x/:id/deep`: {`"a/b".c/x/deep.dead`, `"a/b".c/x.reply/:id/deep`},
	} {
		if got := [2]string{DeadLetterChannel(ref), ReplyChannel(ref)}; got != want {
			t.Errorf("%s: got %v, want %v", ref, got, want)
		}
	}
}
