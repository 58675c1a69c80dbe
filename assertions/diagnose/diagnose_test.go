package diagnose_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/assertions/diagnose"
	"github.com/faultline-sim/faultline/topology"
)

var rates = map[string]int{"telemetry": 100, "app-query": 20, "command": 10, "partner": 10,
	"partner-app": 10}

func iot(t *testing.T) *topology.Topology {
	t.Helper()
	system, diags, err := topology.Load("../../topology/examples/iot-platform.yaml",
		topology.Options{})
	if err != nil || !diags.Empty() {
		t.Fatalf("load topology: %v\n%v", err, diags.String())
	}
	return system
}

// wires are those that the flows under load need.
func wires(system *topology.Topology) []string {
	seen := map[string]bool{}
	var all []string
	for _, f := range system.Flows {
		for _, w := range system.FlowWires(f.Name) {
			if !seen[w.String()] {
				seen[w.String()] = true
				all = append(all, w.String())
			}
		}
	}
	return all
}

// TestEveryWire breaks each wire of the system in each way and asks for its name.
func TestEveryWire(t *testing.T) {
	system := iot(t)
	for _, kind := range []string{"black hole", "cut", "latency"} {
		for i, wire := range wires(system) {
			t.Run(fmt.Sprintf("diagnosis/%s on %s/named", kind, wire), func(t *testing.T) {
				x := trouble{kind: kind, wire: wire, from: 4 * time.Second, to: 7 * time.Second}
				expectFirst(t, diagnose.Diagnose(events(run(system, x, uint64(i), rates)), system),
					wire)
			})
		}
	}
}

// TestEveryNode has each service of the flows answer with errors of its own.
func TestEveryNode(t *testing.T) {
	system := iot(t)
	for i, n := range system.Nodes {
		if n.Kind != topology.Service && n.Kind != topology.Cloud ||
			n.Name == "service_platform.auth" {
			continue
		}
		t.Run(fmt.Sprintf("diagnosis/errors of %s/named", n.Name), func(t *testing.T) {
			x := trouble{kind: "errors", node: n.Name, from: 4 * time.Second, to: 7 * time.Second}
			expectFirst(t, diagnose.Diagnose(events(run(system, x, uint64(i), rates)), system),
				n.Name)
		})
	}
}

func expectFirst(t *testing.T, got []diagnose.Suspect, want string) {
	t.Helper()
	if len(got) > 0 && got[0].Where == want {
		return
	}
	t.Errorf("want %s", want)
	for _, s := range got {
		t.Logf("suspect %.2f %s: %s", s.Score, s.Where, s.Evidence)
	}
}

// TestClean names nobody when nothing is wrong.
func TestClean(t *testing.T) {
	system := iot(t)
	for seed := range uint64(20) {
		rows := run(system, trouble{to: 7 * time.Second}, seed, rates)
		if got := diagnose.Diagnose(events(rows), system); len(got) > 0 {
			t.Errorf("seed %d: %s is suspected: %s", seed, got[0].Where, got[0].Evidence)
		}
	}
}

func TestEmpty(t *testing.T) {
	if got := diagnose.Diagnose(events(nil), iot(t)); got != nil {
		t.Errorf("an empty history has suspects: %v", got)
	}
}
