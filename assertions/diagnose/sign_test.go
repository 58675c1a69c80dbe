package diagnose

import (
	"testing"
	"time"

	"github.com/faultline-sim/faultline/topology"
)

func TestASignIsNamedAfterWhatShowedIt(t *testing.T) {
	system := &topology.Topology{Nodes: []*topology.Node{{Name: "core.worker"}, {Name: "core.lake"}}}
	tests := []struct {
		name string
		sign sign
		want string
	}{
		{"node/went down/the node alone",
			sign{op: operation{kind: "run", node: "core.worker"}, down: 2, last: int64(time.Second)},
			"worker: went down 2 times, from 0s to 1s"},
		{"handler/failed/node and handler",
			sign{op: operation{kind: "run", node: "core.worker", handler: "records"}, bad: 1},
			"worker.records: 1 without a good answer, from 0s to 0s"},
		{"step/answered with errors/node, handler and step",
			sign{op: operation{kind: "step", node: "core.worker", handler: "records",
				step: "store lake"}, bad: 3, answers: 3},
			"worker.records/store lake: 3 answered with an error, from 0s to 0s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.sign.describe(system); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
