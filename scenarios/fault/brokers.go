package fault

import (
	"context"
	"fmt"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/features"
)

// moved is leadership that went to other members. Healing undoes nothing: clients find the new
// leaders by themselves.
type moved struct{ *tally }

func (moved) Heal(context.Context) error { return nil }

// moveLeaders moves every partition's leadership. It bites the messages published to or received
// from the broker while clients find the new leaders.
func moveLeaders(ctx context.Context, s Stage, node string) (Injection, error) {
	e := s.Engine(node)
	mover, ok := e.(engine.LeaderMover)
	if !ok || !e.Info().Able(features.MoveLeader) {
		return nil, fmt.Errorf("the engine of %q has no leaders to move", node)
	}
	touched, n := count(s, over(s, node)), 0
	err := s.Turn(ctx, node, func() (err error) {
		n, err = mover.MoveLeaders(ctx, "")
		return err
	})
	if err == nil && n == 0 {
		err = fmt.Errorf("no partition of %q has another member to move to", node)
	}
	if err != nil {
		touched.Close()
		return nil, err
	}
	return moved{touched}, nil
}

// over matches flow messages on any wire to a node.
func over(s Stage, node string) match {
	wires := map[string]bool{}
	for _, w := range s.Topology().Wires() {
		if w.To == node {
			wires[w.String()] = true
		}
	}
	return func(e *history.Event, _ bool) bool { return e.Flow != "" && wires[e.Wire] }
}

// dropped is connections that a broker closed; clients come back by themselves.
type dropped int64

func (d dropped) Bite() int64              { return int64(d) }
func (dropped) Heal(context.Context) error { return nil }
func (dropped) Close()                     {}

// disconnect drops every connection of a broker. Its bite is the number of connections.
func disconnect(ctx context.Context, s Stage, node string) (Injection, error) {
	d, ok := s.Engine(node).(engine.Disconnecter)
	if !ok {
		return nil, fmt.Errorf("the engine of %q cannot drop its connections", node)
	}
	n := 0
	err := s.Turn(ctx, node, func() (err error) {
		n, err = d.DisconnectAll(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return dropped(n), nil
}
