package virtual

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/scenarios/runner"
)

// BenchmarkTelemetry is how many times faster than real time the telemetry flow of the iot-platform
// is, every hop recorded and proxied: at 50 messages a second, and at 2.
func BenchmarkTelemetry(b *testing.B) {
	for _, name := range []string{"telemetry-50", "telemetry-2"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				plan := load(b, name)
				measured(b, plan.Flows[0].Messages, virtualTime, func() error {
					return run(b.Context(), plan, runner.Options{Dir: b.TempDir()})
				})
			}
		})
	}
}

func run(ctx context.Context, plan *scenarios.Plan, opt runner.Options) error {
	out, err := runner.Run(ctx, plan, opt)
	switch {
	case err != nil:
		return err
	case !out.Ended:
		return errors.New("the run has no complete audit")
	case out.Took < virtualTime:
		return fmt.Errorf("the run took %s of its own time", out.Took)
	}
	return nil
}

func load(b *testing.B, name string) *scenarios.Plan {
	file := "testdata/" + name + ".yaml"
	s, diags, err := scenarios.Load(file, scenarios.Options{Time: scenarios.VirtualTime})
	if err != nil || !diags.Empty() {
		b.Fatalf("load %s: %v\n%s", file, err, diags.String())
	}
	return scenarios.NewPlan(s)
}
