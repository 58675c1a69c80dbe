package scenariotest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/scenarios/scenariotest"
)

func TestProcesses(t *testing.T) {
	const (
		cut    = "testdata/process-stream-cut.yaml"
		killed = "testdata/process-killed.yaml"
		down   = "testdata/process-archive-down.yaml"
	)
	lost := map[string]string{"delivery[order]": "invalid lost", "conservation": "invalid lost"}
	exactlyOnce := scenariotest.Set("flows.order.guarantee=exactly-once")
	for name, c := range map[string]struct {
		file   string
		worker func(context.Context, scenariotest.Env) error
		option scenariotest.Option
		want   map[string]string // verdicts that are not valid
	}{
		"delivery/stream cut and commit after work/valid":    {cut, commitsAfter, exactlyOnce, nil},
		"delivery/killed and commit after work/valid":        {killed, commitsAfter, nil, nil},
		"delivery/killed and commit before work/lost":        {killed, commitsBefore, nil, lost},
		"delivery/archive down and tried again/valid":        {down, commitsAfter, nil, nil},
		"delivery/archive down and error forgotten/lost":     {down, forgets, nil, lost},
		"delivery/stored twice and exactly once/duplicated":  {cut, storesTwice, exactlyOnce, map[string]string{"delivery[order]": "invalid duplicated", "conservation": "invalid duplicated"}},
		"delivery/stored twice and at least once/valid":      {cut, storesTwice, nil, nil},
		"trace/headers not passed on/nothing is known again": {cut, dropsHeaders, nil, map[string]string{"steady": "invalid failed", "delivery[order]": "invalid lost", "conservation": "invalid lost", "trace[order]": "unknown"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := []scenariotest.Option{
				scenariotest.Out(t.TempDir()), scenariotest.Process("worker", c.worker),
			}
			if c.option != nil {
				options = append(options, c.option)
			}
			got := play(t, c.file, options...)
			if diff := cmp.Diff(c.want, notValid(got)); diff != "" {
				t.Errorf("verdicts that are not valid (-want +got):\n%s", diff)
			}
			for _, err := range got.Faults {
				t.Error(err)
			}
		})
	}
}

// A node whose policies are declared, and which runs code that writes to the store by itself: what
// only its own events could show is unknown, what the audit shows is known.
func TestWhatCannotBeSeenIsUnknown(t *testing.T) {
	t.Parallel()
	options := []scenariotest.Option{
		scenariotest.Out(t.TempDir()), scenariotest.Process("worker", storesObjects),
	}
	got := play(t, "testdata/orders-stream-cut.yaml", options...)
	want := map[string]string{
		"steady": "unknown", "order[order]": "unknown", "trace[order]": "unknown",
		"retry[worker.orders]": "unknown", "dead_letter[stream/orders.dead]": "unknown",
	}
	if diff := cmp.Diff(want, notValid(got)); diff != "" {
		t.Errorf("verdicts that are not valid (-want +got):\n%s", diff)
	}
	if len(got.Differences) != len(want) {
		t.Errorf("%d differences, want one for each unknown verdict", len(got.Differences))
	}
	allowed := play(t, "testdata/orders-stream-cut.yaml", append(options, scenariotest.AllowUnknown(
		"steady", "order", "trace[order]", "retry", "dead_letter"))...)
	if len(allowed.Differences) > 0 {
		t.Errorf("differences though they are allowed: %v", allowed.Differences)
	}
}

func TestAProcessThatReturnsByItselfIsAFault(t *testing.T) {
	for name, c := range map[string]struct {
		end  func() error
		want string
	}{
		"error":   {func() error { return errors.New("out of ideas") }, "process worker[0] returned by itself: out of ideas"},
		"nothing": {func() error { return nil }, "process worker[0] returned by itself, nothing had ended its context"},
		"panic":   {func() error { panic("out of ideas") }, "process worker[0] returned by itself: panic: out of ideas"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			worker := func(ctx context.Context, env scenariotest.Env) error {
				w := newWorker(env)
				defer w.close()
				if _, err := w.reader.FetchMessage(ctx); err != nil {
					return err
				}
				return c.end()
			}
			got := play(t, "testdata/process-killed.yaml", scenariotest.Out(t.TempDir()),
				scenariotest.Process("worker", worker))
			if len(got.Faults) == 0 || !strings.HasPrefix(got.Faults[0].Error(), c.want) {
				t.Errorf("faults %v, want %q first", got.Faults, c.want)
			}
			if got.Report.Value == "valid" {
				t.Error("a run in which nobody did the work is valid")
			}
		})
	}
}

func TestAProcessThatDoesNotComeUp(t *testing.T) {
	t.Parallel()
	got, err := scenariotest.Play(t.Context(), "testdata/process-killed.yaml", scenariotest.Out(t.TempDir()),
		scenariotest.Process("worker", func(context.Context, scenariotest.Env) error { return errors.New("no licence") }))
	want := `start "worker": start worker[0]: its function returned: no licence`
	if err == nil || !strings.Contains(err.Error(), want) || len(got.Faults) != 1 {
		t.Errorf("%v and faults %v, want %s", err, got.Faults, want)
	}
}

// play is a run that comes to its end.
func play(t *testing.T, file string, options ...scenariotest.Option) scenariotest.Result {
	t.Helper()
	got, err := scenariotest.Play(t.Context(), file, options...)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range got.Report.Verdicts {
		t.Logf("%s: %s: %s %s", v.Name, v.Value, v.Summary, v.Unknown)
	}
	return got
}

// notValid are the verdicts that are not valid, each with its first anomaly; nil when all are.
func notValid(r scenariotest.Result) (found map[string]string) {
	for _, v := range r.Report.Verdicts {
		if v.Value == "valid" {
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
