//go:build containers

package container_test

import (
	"testing"

	"github.com/faultline-sim/faultline/topology/engine"
)

func TestCluster(t *testing.T) {
	n := node("kafka")
	n.Brokers = 3
	b := up(t, n, nil)
	if len(b.addresses()) != 3 {
		t.Errorf("addresses/three brokers/got %v", b.addresses())
	}
	u := b.user(t)
	if err := u.put(b.ctx, 1); err != nil {
		t.Fatal(err)
	}
	moved, err := b.engine.(engine.LeaderMover).MoveLeaders(b.ctx, "")
	if err != nil || moved != 6 {
		t.Errorf("leaders/moved/want 6 partitions, got %d and %v", moved, err)
	}
	heal, err := b.engine.(engine.LeaderLoser).LoseLeader(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.put(b.ctx, 2); err != nil {
		t.Errorf("leaders/one lost/the others do not take messages: %v", err)
	}
	b.do(t, heal, b.engine.Kill, b.engine.Start)
	if got := count(t, b, u); got != 2 {
		t.Errorf("data/killed/want 2 messages, got %d", got)
	}
}
