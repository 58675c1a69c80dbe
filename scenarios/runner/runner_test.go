package runner

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/scenarios"
)

const system = `topology: small
nodes:
  clients: {kind: fleet, count: 5}
  api: {kind: service}
  archive: {kind: store, protocol: s3}
flows:
  orders:
    path: clients -> api -> archive
    sinks: {archive: {p99: 10s}}
`

const outage = `scenario: outage
topology: small.yaml
load: {orders: 50/s}
steady: 300ms
timeline:
  - {name: cut, at: 0s, for: 30s, wire: api -> archive, fault: cut}
recover: 1s
drain: 1s
`

// planned is the plan of a scenario over the small system.
func planned(t *testing.T, scenario string) *scenarios.Plan {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"small.yaml": system, "outage.yaml": scenario} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, diags, err := scenarios.Load(filepath.Join(dir, "outage.yaml"), scenarios.Options{Time: scenarios.RealTime})
	if err != nil || !diags.Empty() {
		t.Fatal(err, diags.String())
	}
	return scenarios.NewPlan(s)
}

// seen is what a history says of the fault, and whether it ended.
func seen(t *testing.T, dir string) (reasons []string, ended bool) {
	t.Helper()
	r, err := history.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for e := range r.Events {
		if e.Kind == history.Fault && (len(reasons) == 0 || reasons[len(reasons)-1] != e.Reason) {
			reasons = append(reasons, e.Reason)
		}
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return reasons, r.Ended()
}

func TestAFaultHealsWhateverEndsTheRun(t *testing.T) {
	deadline := planned(t, outage)
	deadline.Deadline = 2 * time.Second
	tests := []struct {
		name string
		plan *scenarios.Plan
		end  func(cancel context.CancelFunc, p Progress)
		want error
	}{
		{"interrupt/in the timeline/stopped there", planned(t, outage),
			func(cancel context.CancelFunc, p Progress) {
				if strings.HasPrefix(p.Text, "inject") {
					cancel()
				}
			}, context.Canceled},
		{"deadline/in the timeline/says so and where", deadline, nil, ErrDeadline},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "history")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			opt := Options{Dir: dir}
			if tt.end != nil {
				opt.Progress = func(p Progress) { tt.end(cancel, p) }
			}
			_, err := Run(ctx, tt.plan, opt)
			var stopped *StoppedError
			if !errors.As(err, &stopped) || !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want a *StoppedError that wraps %v", err, tt.want)
			}
			if stopped.Phase != scenarios.PhaseTimeline {
				t.Errorf("stopped in phase %q, want %q", stopped.Phase, scenarios.PhaseTimeline)
			}
			reasons, ended := seen(t, dir)
			if len(reasons) == 0 || reasons[0] != "inject" || !slices.Contains(reasons, "heal") {
				t.Errorf("the fault's rows say %v, want inject … heal", reasons)
			}
			if ended {
				t.Error("the history claims that the audit was completed")
			}
			left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "faultline-*"))
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestAPanicIsAnErrorThatNamesItsPart(t *testing.T) {
	c := newCrew(t.Context())
	waited := make(chan error, 1)
	c.start("waits", func(ctx context.Context) error {
		<-ctx.Done()
		waited <- ctx.Err()
		return nil
	})
	c.start("breaks", func(context.Context) error { panic("boom") })
	err := c.wait()
	if err == nil || !strings.Contains(err.Error(), "panic in breaks: boom") {
		t.Errorf("error %v, want one that names the part and the panic", err)
	}
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Errorf("the others were told %v, want canceled", err)
	}
}

func TestAnUnwritableHistoryIsTheEnvironmentsFailure(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Run(t.Context(), planned(t, outage), Options{Dir: filepath.Join(file, "history")})
	var environment *EnvironmentError
	if !errors.As(err, &environment) {
		t.Errorf("error %v, want an *EnvironmentError", err)
	}
}
