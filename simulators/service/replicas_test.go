package service_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/conn/httpx"
	"github.com/faultline-sim/faultline/topology"
)

// threeReplicas publish each request that they are asked.
var threeReplicas = strings.Replace(httpTopology,
	"kind: service\n", "kind: service\n    replicas: 3\n", 1)

// told counts by replica what came of requests to /jobs.
type told map[string]int

// askAll asks n requests and counts attempts that went well and those that did not, by replica.
func askAll(r *rig, n int) told {
	got := told{}
	counting := r.env.Recorder.Count(func(e *history.Event) bool {
		if e.Kind == history.Attempt {
			r.mu.Lock()
			got[fmt.Sprintf("%d %v", e.Replica, e.Outcome == history.Ok)]++
			r.mu.Unlock()
		}
		return false
	})
	c := httpx.NewClient(r.env.Fabric.Dialer(topology.Wire{From: "app", To: "worker"}, 0))
	defer c.Close()
	for i := range n {
		if _, err := c.Do(r.t.Context(), "POST", "/jobs", r.job(int64(i), `{"ok":1}`)); err != nil {
			r.t.Fatal(err)
		}
	}
	counting.Stop()
	return got
}

func TestABehaviorOfOneReplicaLeavesTheOthersAlone(t *testing.T) {
	tests := map[string]struct {
		behavior simulators.Behavior
		want     told // attempts by replica
		touched  int64
	}{
		"errors": {simulators.Behavior{Kind: simulators.Errors}, told{
			"0 true": 2, "1 false": 2, "2 true": 2}, 2},
		"poison": {simulators.Behavior{Kind: simulators.Poison}, told{
			"0 true": 2, "1 false": 2, "2 true": 2}, 2},
		"outage": {simulators.Behavior{Kind: simulators.Outage}, told{"0 true": 2, "2 true": 2}, 2},
		"quota": {simulators.Behavior{Kind: simulators.Quota, Rate: 1}, told{
			"0 true": 2, "1 true": 1, "2 true": 2}, 1},
		"slow": {simulators.Behavior{Kind: simulators.Slow, Delay: time.Millisecond}, told{
			"0 true": 2, "1 true": 2, "2 true": 2}, 2},
		"duplicates": {simulators.Behavior{Kind: simulators.Duplicates}, told{
			"0 true": 2, "1 true": 2, "2 true": 2}, 2},
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt := tests[name]
				r := newRig(t, threeReplicas, nil)
				defer r.close()
				tt.behavior.Replicas = []int{1}
				injection, err := r.service.Inject(tt.behavior)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, askAll(r, 6)); diff != "" {
					t.Errorf("attempts by replica (-want +got):\n%s", diff)
				}
				if injection.Touched() != tt.touched {
					t.Errorf("touched %d, want %d", injection.Touched(), tt.touched)
				}
			})
		})
	}
}
