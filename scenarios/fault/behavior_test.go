package fault

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/simulators"
)

// obedient is a node that notes how it is told to misbehave.
type obedient struct{ told *simulators.Behavior }

func (obedient) Name() string                { return "gateway" }
func (obedient) Start(context.Context) error { return nil }
func (obedient) Close() error                { return nil }

func (o obedient) Inject(b simulators.Behavior) (simulators.Injection, error) {
	*o.told = b
	return done{}, nil
}

type done struct{}

func (done) Touched() int64 { return 0 }
func (done) Heal()          {}

func TestABehaviorIsOnTheReplicaThatIsNamed(t *testing.T) {
	var told simulators.Behavior
	s := &stage{nodes: map[string]simulators.Node{"gateway": obedient{&told}}}
	for kind := range behaviors {
		for replica, want := range map[int][]int{-1: nil, 0: {0}, 1: {1}} {
			act := scenarios.Act{Name: "x", Fault: &scenarios.Fault{
				Kind: kind, Nodes: []string{"gateway"}, Replica: replica,
			}}
			if _, err := Inject(t.Context(), s, act); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, told.Replicas); diff != "" {
				t.Errorf("%s on replica %d/replicas told (-want +got):\n%s", kind, replica, diff)
			}
		}
	}
}
