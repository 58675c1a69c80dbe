package features_test

import (
	"testing"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/features"
)

func TestLeadersNeedMembers(t *testing.T) {
	type leaders struct{ move, lose bool }
	for _, c := range []struct {
		set     features.Set
		brokers int
		want    leaders
	}{
		{features.Embedded, 1, leaders{}},
		{features.Embedded, 3, leaders{move: true}},
		{features.Container, 1, leaders{}},
		{features.Container, 2, leaders{move: true}},
		{features.Container, 3, leaders{true, true}},
	} {
		f, ok := features.Of(c.set, &topology.Node{Protocol: "kafka", Brokers: c.brokers})
		got := leaders{f.Able(features.MoveLeader), f.Able(features.LoseLeader)}
		if !ok || got != c.want {
			t.Errorf("leaders/%s with %d/got %+v", c.set, c.brokers, got)
		}
		if c.set == features.Container && !got.lose && f.Why[features.LoseLeader] == "" {
			t.Errorf("leaders/%s with %d/it does not say why", c.set, c.brokers)
		}
	}
}

func TestEveryEngineSaysWhatItIs(t *testing.T) {
	for _, p := range []string{"kafka", "mqtt", "postgres", "redis", "s3"} {
		for _, s := range []features.Set{features.Embedded, features.Container} {
			f, ok := features.Of(s, &topology.Node{Protocol: p, Brokers: 3})
			if !ok || f.Name == "" || f.Worth == "" || (f.Image != "") != (s == features.Container) {
				t.Errorf("%s/%s/got %+v", p, s, f)
			}
		}
	}
	if _, ok := features.Of(features.Container, &topology.Node{Protocol: "tcp"}); ok {
		t.Error("tcp/container/there is no engine")
	}
}
