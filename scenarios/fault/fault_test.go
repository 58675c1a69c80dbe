package fault

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/record"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/wire"
)

// stage is a system without simulators, whose clock is set by hand.
type stage struct {
	recorder *record.Recorder
	topology *topology.Topology
	engines  map[string]engine.Engine
	nodes    map[string]simulators.Node
	broker   conn.Broker
	now      int64
}

func (s *stage) Fabric() wire.Fabric                                     { return nil }
func (s *stage) Topology() *topology.Topology                            { return s.topology }
func (s *stage) Simulator(node string) simulators.Node                   { return s.nodes[node] }
func (s *stage) Engine(node string) engine.Engine                        { return s.engines[node] }
func (s *stage) Broker(context.Context, string) (conn.Broker, error)     { return s.broker, nil }
func (s *stage) Now() int64                                              { return s.now }
func (s *stage) Turn(_ context.Context, _ string, do func() error) error { return do() }
func (s *stage) Count(m func(*history.Event) bool) *record.Counter {
	return s.recorder.Count(m)
}

// queue is worker, which consumes queue/orders and writes to archive.
func queue() *topology.Topology {
	return &topology.Topology{
		Nodes: []*topology.Node{
			{Name: "api", Kind: topology.Service},
			{Name: "queue", Kind: topology.Broker, Protocol: "kafka"},
			{Name: "worker", Kind: topology.Service, Handlers: []*topology.Handler{{
				Name: "orders", Subscribe: "queue/orders",
				Do: []*topology.Step{{Name: "store", Kind: topology.StoreStep, Target: "archive"}},
			}}},
			{Name: "archive", Kind: topology.Store, Protocol: "s3"},
		},
	}
}

func TestWhatAnAbsentNodeIsToBlameFor(t *testing.T) {
	event := func(kind history.Kind, change func(*history.Event)) history.Event {
		e := history.New(kind, 100)
		e.Flow, e.Message, e.Duration = "order", 1, 10
		change(&e)
		return e
	}
	toArchive := event(history.Store, func(e *history.Event) {
		e.Wire, e.Outcome = "worker -> archive", history.Fail
	})
	waiting := event(history.Publish, func(e *history.Event) {
		e.Wire, e.Channel, e.Outcome = "api -> queue", "queue/orders", history.Ok
	})
	elsewhere := event(history.Call, func(e *history.Event) {
		e.Wire, e.Outcome = "clients -> api", history.Fail
	})
	well := event(history.Store, func(e *history.Event) {
		e.Wire, e.Outcome = "worker -> archive", history.Ok
	})
	dropped := history.New(history.NodeState, 100)
	dropped.Wire, dropped.Reason = "worker -> queue", "disconnect"
	own := toArchive
	own.Node, own.Replica = "worker", 1
	tests := []struct {
		name    string
		replica int
		event   history.Event
		healed  int64 // 0 is never
		want    int64
	}{
		{"a failed write of the node/meanwhile/counts", whole, toArchive, 0, 1},
		{"a failed write of the node/begun before the heal/counts", whole, toArchive, 95, 1},
		{"a failed write of the node/of that replica/counts", 1, own, 0, 1},
		{"a failed write of the node/of another replica/does not", 0, own, 0, 0},
		{"a message put in its channel/meanwhile/counts", whole, waiting, 0, 1},
		{"a message put in its channel/while others take it/does not", 0, waiting, 0, 0},
		{"a message put in its channel/after the heal/does not", whole, waiting, 50, 0},
		{"a connection that drops/meanwhile/counts", whole, dropped, 0, 1},
		{"a failure elsewhere/meanwhile/does not", whole, elsewhere, 0, 0},
		{"a write that went well/meanwhile/does not", whole, well, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &stage{recorder: record.Off(), topology: queue(), now: tt.healed}
			tally := count(s, touching(s, "worker", tt.replica))
			defer tally.Close()
			if tt.healed > 0 {
				tally.healed()
			}
			s.recorder.Record(&tt.event)
			if got := tally.Bite(); got != tt.want {
				t.Errorf("counted %d, want %d", got, tt.want)
			}
		})
	}
}

func TestEachHealsWhatItInjectedWhenOneFails(t *testing.T) {
	var healed []string
	_, err := each([]string{"a", "b", "c"}, func(node string) (Injection, error) {
		if node == "c" {
			return nil, plainError("no c")
		}
		return &noted{node, &healed}, nil
	})
	if err == nil || err.Error() != "no c" {
		t.Errorf("error %v, want the one of c", err)
	}
	if diff := cmp.Diff([]string{"b", "a"}, healed); diff != "" {
		t.Errorf("healed, last one first (-want +got):\n%s", diff)
	}
}

func TestAKindNobodyKnowsIsAnError(t *testing.T) {
	s := &stage{recorder: record.Off(), topology: queue()}
	_, err := Inject(t.Context(), s, scenarios.Act{Name: "x", Fault: &scenarios.Fault{Kind: "melt"}})
	if want := `inject "x": no fault of kind "melt"`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

type plainError string

func (e plainError) Error() string { return string(e) }

// noted notes when it is healed.
type noted struct {
	node   string
	healed *[]string
}

func (n *noted) Bite() int64 { return 0 }
func (n *noted) Close()      {}
func (n *noted) Heal(context.Context) error {
	*n.healed = append(*n.healed, n.node)
	return nil
}
