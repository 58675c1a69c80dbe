package scenariotest_test

import (
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/scenarios/scenariotest"
)

type options []scenariotest.Option

// situation is one run of a table, and the verdicts that must not be valid, each with its first
// anomaly.
type situation struct {
	file    string
	options options
	want    map[string]string
}

// atOnce bounds the runs of one table that go on at the same time: a run mostly waits for its own
// clock, and a machine that is too busy shows in its verdicts.
const atOnce = 6

// playAll plays all situations, several at once.
func playAll(t *testing.T, all map[string]situation) {
	t.Helper()
	got := results(t, all)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(all[name].want, notValid(got[name])); diff != "" {
				t.Errorf("verdicts that are not valid (-want +got):\n%s", diff)
				for _, v := range got[name].Report.Verdicts {
					t.Logf("%s: %s: %s %s", v.Name, v.Value, v.Summary, v.Unknown)
				}
			}
			for _, err := range got[name].Faults {
				t.Error(err)
			}
		})
	}
}

// results are those of all situations, each played to its end.
func results(t *testing.T, all map[string]situation) map[string]scenariotest.Result {
	t.Helper()
	var mu sync.Mutex
	var playing sync.WaitGroup
	places := make(chan struct{}, atOnce)
	got := map[string]scenariotest.Result{}
	for name, s := range all {
		out := scenariotest.Out(t.TempDir())
		playing.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			r, err := scenariotest.Play(t.Context(), s.file, append(options{out}, s.options...)...)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[name] = r
		})
	}
	playing.Wait()
	return got
}

// notValid are the verdicts that are not valid, each with its first anomaly, but for those that the
// run never put to the test; nil when there are none.
func notValid(r scenariotest.Result) (found map[string]string) {
	for _, v := range r.Report.Verdicts {
		if v.Value == "valid" || v.Value == "untested" {
			continue
		}
		if found == nil {
			found = map[string]string{}
		}
		found[v.Name] = string(v.Value)
		if len(v.Anomalies) > 0 {
			found[v.Name] += " " + v.Anomalies[0].Kind
		}
	}
	return found
}
