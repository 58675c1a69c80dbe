package fault

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/record"
	"github.com/faultline-sim/faultline/topology"
)

// visited is a broker's client that notes who joined which group, and what was split.
type visited struct {
	conn.Broker
	joined []string
	ended  []context.Context
	split  map[string]int
}

func (v *visited) Subscribe(ctx context.Context, s conn.Subscription) error {
	v.joined = append(v.joined, s.Channel+" in "+s.Group)
	v.ended = append(v.ended, ctx)
	return nil
}

func (v *visited) SplitShards(_ context.Context, channel string) (int, error) {
	return v.split[channel], nil
}

func grouped() *topology.Topology {
	t := queue()
	t.Channels = []*topology.Channel{
		{Ref: "queue/orders", Groups: []string{"worker", "mail"}},
		{Ref: "queue/orders.dead"}, {Ref: "other/orders", Groups: []string{"worker"}},
	}
	return t
}

func TestARebalanceJoinsEachGroupAndLeavesIt(t *testing.T) {
	v := &visited{}
	s := &stage{recorder: record.Off(), topology: grouped(), broker: v}
	i, err := Inject(t.Context(), s, scenarios.Act{Name: "x",
		Fault: &scenarios.Fault{Kind: "rebalance", Nodes: []string{"queue"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	if diff := cmp.Diff([]string{"orders in worker", "orders in mail"}, v.joined); diff != "" {
		t.Errorf("joined (-want +got):\n%s", diff)
	}
	if slices.ContainsFunc(v.ended, func(c context.Context) bool { return c.Err() == nil }) {
		t.Error("a group was not left again")
	}
	e := history.New(history.Publish, 1)
	e.Flow, e.Wire = "order", "worker -> queue"
	s.recorder.Record(&e)
	if i.Bite() != 1 {
		t.Errorf("bite %d after a message on the broker's wire, want 1", i.Bite())
	}
}

func TestWhatHasNoGroupsOrShardsCannotBeRebalancedOrSplit(t *testing.T) {
	for _, c := range []struct {
		name, kind, want string
		topology         *topology.Topology
		broker           conn.Broker
	}{
		{"rebalance/no groups/refused", "rebalance",
			`inject "x" (rebalance on queue): no group takes messages from "queue"`, queue(), &visited{}},
		{"shard_split/no shards/refused", "shard_split",
			`inject "x" (shard_split on queue): no stream has an open shard`, grouped(), &visited{}},
		{"shard_split/another client/refused", "shard_split",
			`inject "x" (shard_split on queue): "queue" has no shards to split`, grouped(), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &stage{recorder: record.Off(), topology: c.topology, broker: c.broker}
			_, err := Inject(t.Context(), s, scenarios.Act{Name: "x",
				Fault: &scenarios.Fault{Kind: c.kind, Nodes: []string{"queue"}, Replica: -1}})
			if err == nil || err.Error() != c.want {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
	v := &visited{split: map[string]int{"orders": 2}}
	s := &stage{recorder: record.Off(), topology: grouped(), broker: v}
	i, err := Inject(t.Context(), s, scenarios.Act{Name: "x",
		Fault: &scenarios.Fault{Kind: "shard_split", Nodes: []string{"queue"}}})
	if err != nil {
		t.Fatal(err)
	}
	i.Close()
}
