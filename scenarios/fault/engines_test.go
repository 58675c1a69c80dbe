package fault

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/simulators/record"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/features"
)

// plain is an engine that notes what is done to it.
type plain struct {
	can   []features.Ability
	fails error
	done  []string
}

func (p *plain) note(format string, args ...any) error {
	p.done = append(p.done, fmt.Sprintf(format, args...))
	return p.fails
}

func (p *plain) undone(what string, err error) (func(context.Context) error, error) {
	if err != nil {
		return nil, err
	}
	return func(context.Context) error { return p.note("%s", what) }, nil
}

func (p *plain) Start(context.Context) error { return p.note("start") }
func (p *plain) Stop(context.Context) error  { return p.note("stop") }
func (p *plain) Kill(context.Context) error  { return p.note("kill") }
func (p *plain) Wipe(context.Context) error  { return p.note("wipe") }
func (p *plain) Close() error                { return p.note("close") }
func (p *plain) Info() engine.Info {
	return engine.Info{Features: features.Features{Name: "thing", Can: p.can}}
}

// contained is an engine with everything that can be done to a container.
type contained struct{ *plain }

func (c contained) Pause(context.Context) (func(context.Context) error, error) {
	return c.undone("resume", c.note("pause"))
}

func (c contained) Limit(
	_ context.Context, cores float64, memory int64,
) (func(context.Context) error, error) {
	return c.undone("lift", c.note("limit to %g cores, %d bytes", cores, memory))
}

func (c contained) FillDisk(context.Context) (func(context.Context) error, error) {
	return c.undone("free", c.note("fill"))
}

func (c contained) CutOff(context.Context) (func(context.Context) error, error) {
	return c.undone("mend", c.note("cut off"))
}

func (c contained) LoseLeader(context.Context) (func(context.Context) error, error) {
	return c.undone("leader back", c.note("lose leader"))
}

func (c contained) RefuseWrites(context.Context) (func(context.Context) error, error) {
	return c.undone("take writes", c.note("refuse writes"))
}

func (c contained) MemoryAlarm(context.Context) (func(context.Context) error, error) {
	return c.undone("lower alarm", c.note("raise alarm"))
}

func (c contained) Throttle(_ context.Context, rate float64) (func(context.Context) error, error) {
	return c.undone("full speed", c.note("throttle to %g", rate))
}

func TestEachFaultOfAnEngineIsDoneAndHealed(t *testing.T) {
	all := []features.Ability{features.Pause, features.LimitCPU, features.LimitMemory,
		features.FillDisk, features.CutOff, features.LoseLeader, features.RefuseWrites,
		features.RaiseAlarm, features.Throttle}
	tests := []struct {
		name  string
		fault scenarios.Fault
		want  []string
	}{
		{"stop/healed/started again", scenarios.Fault{Kind: "stop"}, []string{"stop", "start"}},
		{"kill/healed/started again", scenarios.Fault{Kind: "kill"}, []string{"kill", "start"}},
		{"restart/healed/nothing more", scenarios.Fault{Kind: "restart"}, []string{"stop", "start"}},
		{"pause/healed/goes on", scenarios.Fault{Kind: "pause"}, []string{"pause", "resume"}},
		{"cpu/healed/lifted", scenarios.Fault{Kind: "cpu", Cores: 0.2},
			[]string{"limit to 0.2 cores, 0 bytes", "lift"}},
		{"memory/healed/lifted", scenarios.Fault{Kind: "memory", Size: 64_000_000},
			[]string{"limit to 0 cores, 64000000 bytes", "lift"}},
		{"disk_full/healed/freed", scenarios.Fault{Kind: "disk_full"}, []string{"fill", "free"}},
		{"cut/healed/mended", scenarios.Fault{Kind: "cut"}, []string{"cut off", "mend"}},
		{"leader_loss/healed/member back", scenarios.Fault{Kind: "leader_loss"},
			[]string{"lose leader", "leader back"}},
		{"not_enough_replicas/healed/writes taken", scenarios.Fault{Kind: "not_enough_replicas"},
			[]string{"refuse writes", "take writes"}},
		{"memory_alarm/healed/lowered", scenarios.Fault{Kind: "memory_alarm"},
			[]string{"raise alarm", "lower alarm"}},
		{"throttle/healed/full speed", scenarios.Fault{Kind: "throttle", Rate: 50},
			[]string{"throttle to 50", "full speed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := &plain{can: all}
			s := &stage{recorder: record.Off(), topology: queue(),
				engines: map[string]engine.Engine{"queue": contained{e}}}
			tt.fault.Nodes = []string{"queue"}
			i, err := Inject(t.Context(), s, scenarios.Act{Name: "x", Fault: &tt.fault})
			if err != nil {
				t.Fatal(err)
			}
			defer i.Close()
			for range 2 {
				if err := i.Heal(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tt.want, e.done); diff != "" {
				t.Errorf("done to the engine (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnEngineIsNotAskedForWhatItCannot(t *testing.T) {
	broken := errors.New("the daemon said no")
	tests := []struct {
		name   string
		engine engine.Engine
		want   string
	}{
		{"pause/not among its features/refused", contained{&plain{}},
			`inject "x" (pause on queue): the engine, thing, cannot be paused`},
		{"pause/not implemented/refused", &plain{can: []features.Ability{features.Pause}},
			`inject "x" (pause on queue): the engine, thing, cannot be paused`},
		{"pause/fails/its error", contained{&plain{can: []features.Ability{features.Pause},
			fails: broken}}, `inject "x" (pause on queue): the daemon said no`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &stage{recorder: record.Off(), topology: queue(),
				engines: map[string]engine.Engine{"queue": tt.engine}}
			f := &scenarios.Fault{Kind: "pause", Nodes: []string{"queue"}, Replica: -1}
			_, err := Inject(t.Context(), s, scenarios.Act{Name: "x", Fault: f})
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

func TestWhatAnEngineInTroubleBites(t *testing.T) {
	well := history.New(history.Publish, 100)
	well.Flow, well.Message, well.Duration = "order", 1, 10
	well.Wire, well.Outcome = "worker -> queue", history.Ok
	failed := well
	failed.Outcome = history.Fail
	elsewhere := well
	elsewhere.Wire = "api -> queue"
	tests := []struct {
		name   string
		kind   string
		event  history.Event
		healed int64 // 0 is never
		want   int64
	}{
		{"pause/an operation over its wires/counts", "pause", well, 0, 1},
		{"pause/begun before the heal/counts", "pause", well, 95, 1},
		{"pause/begun after the heal/does not", "pause", well, 50, 0},
		{"pause/over another wire/does not", "pause", elsewhere, 0, 0},
		{"cut/an operation over its wires/counts", "cut", well, 0, 1},
		{"leader_loss/an operation over its wires/counts", "leader_loss", well, 0, 1},
		{"kill/an operation that went well/does not", "kill", well, 0, 0},
		{"kill/one that failed/counts", "kill", failed, 0, 1},
		{"disk_full/an operation that went well/does not", "disk_full", well, 0, 0},
		{"disk_full/one that failed/counts", "disk_full", failed, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := contained{&plain{can: []features.Ability{features.Pause, features.CutOff,
				features.LoseLeader, features.FillDisk}}}
			s := &stage{recorder: record.Off(), topology: queue(), now: tt.healed,
				engines: map[string]engine.Engine{"queue": e}}
			f := &scenarios.Fault{Kind: tt.kind, Nodes: []string{"queue"}}
			i, err := Inject(t.Context(), s, scenarios.Act{Name: "x", Fault: f})
			if err != nil {
				t.Fatal(err)
			}
			defer i.Close()
			if tt.healed > 0 {
				if err := i.Heal(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			s.recorder.Record(&tt.event)
			if got := i.Bite(); got != tt.want {
				t.Errorf("bite %d, want %d", got, tt.want)
			}
		})
	}
}
