//go:build containers

package scenariotest_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/scenarios/scenariotest"
)

func TestFaultsOfRealBrokersBiteAndHeal(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		root bool
	}{
		"process/every fault/bites and heals":          {file: "testdata/real-faults.yaml"},
		"network/cut inside/bites and heals":           {file: "testdata/real-cut.yaml", root: true},
		"cluster/leader of three/bites and comes back": {file: "testdata/real-leader-lost.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.root && os.Geteuid() != 0 {
				t.Skip("only root may drop packets inside a container's network")
			}
			result, err := scenariotest.Play(t.Context(), c.file, scenariotest.Out(t.TempDir()),
				scenariotest.Engines("containers"))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range result.Report.Faults {
				if f.Bite == 0 || f.To < f.From {
					t.Errorf("%s (%s): touched %d, from %s to %s", f.Name, f.What, f.Bite, f.From, f.To)
				}
			}
			for _, v := range result.Report.Verdicts {
				if v.Property == "delivery" && v.Value != "valid" {
					t.Errorf("%s is %s: %s", v.Name, v.Value, v.Summary)
				}
			}
			sets := map[string]string{}
			for _, e := range result.Report.Engines {
				sets[e.Node] = e.Set
			}
			want := map[string]string{"stream": "container", "cache": "container", "ledger": "container"}
			if diff := cmp.Diff(want, sets); diff != "" {
				t.Errorf("engines (-want +got):\n%s", diff)
			}
			if len(result.Report.Usage) != len(want) {
				t.Errorf("usage of %d nodes is told, want %d", len(result.Report.Usage), len(want))
			}
		})
	}
}
