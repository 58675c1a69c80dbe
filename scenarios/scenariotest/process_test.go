package scenariotest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/reports/rundir"
	"github.com/faultline-sim/faultline/scenarios/scenariotest"
)

func TestProcesses(t *testing.T) {
	const (
		cut    = "testdata/process-stream-cut.yaml"
		killed = "testdata/process-killed.yaml"
		down   = "testdata/process-archive-down.yaml"
	)
	lost := map[string]string{"delivery[order]": "invalid lost", "conservation": "invalid lost"}
	twice := map[string]string{
		"delivery[order]": "invalid duplicated", "conservation": "invalid duplicated",
	}
	unknown := map[string]string{
		"steady": "unknown failed", "delivery[order]": "invalid lost", "conservation": "invalid lost",
		"trace[order]": "unknown", "slo[order]": "invalid failed",
	}
	bodies := func(id string) scenariotest.Option { return scenariotest.Set("worker.correlate.id=body." + id) }
	exactlyOnce := scenariotest.Set("flows.order.guarantee=exactly-once")
	playAll(t, map[string]situation{
		"delivery/stream cut and commit after work/valid":    {cut, options{process(commitsAfter)}, nil},
		"delivery/killed and commit after work/valid":        {killed, options{process(commitsAfter)}, nil},
		"delivery/killed and commit before work/lost":        {killed, options{process(commitsBefore)}, lost},
		"delivery/archive down and error forgotten/lost":     {down, options{process(forgets)}, lost},
		"delivery/stored twice and exactly once/duplicated":  {cut, options{process(storesTwice), exactlyOnce}, twice},
		"trace/headers not passed on/nothing is known again": {cut, options{process(forgetsWithoutHeaders)}, unknown},

		"correlate/bodies alone/valid": {cut, options{process(dropsHeaders), bodies("order")}, nil},
		"correlate/bodies alone and errors forgotten/lost": {
			down, options{process(forgetsWithoutHeaders), bodies("order")}, lost},
		"correlate/bodies alone, twice and exactly once/duplicated": {
			cut, options{process(storesTwiceWithoutHeaders), bodies("order"), exactlyOnce}, twice},
	})
}

func process(do func(context.Context, scenariotest.Env) error) scenariotest.Option {
	return scenariotest.Process("worker", do, scenariotest.DialsByEnv)
}

// One function gives the same verdicts by either clock, and by either way of dialling. It forgets the
// errors of a store that is down, which loses orders whatever else goes on.
func TestProcessesByEitherClock(t *testing.T) {
	const down = "testdata/process-archive-killed.yaml"
	own := scenariotest.Process("worker", bySockets(forgets))
	clocks := map[string]string{
		"virtual": "virtual", "chosen": "virtual", "real": "real", "by sockets": "real",
	}
	// One after the other: what else a process does decides which of two things comes first.
	got := results(t, map[string]situation{
		"virtual": {down, options{process(forgets), scenariotest.Virtual()}, nil}})
	maps.Copy(got, results(t, map[string]situation{"chosen": {down, options{process(forgets)}, nil}}))
	maps.Copy(got, results(t, map[string]situation{
		"real":       {down, options{process(forgets), scenariotest.RealTime()}, nil},
		"by sockets": {down, options{own}, nil},
	}))
	lost := map[string]string{"delivery[order]": "invalid lost", "conservation": "invalid lost"}
	for name, r := range got {
		if diff := cmp.Diff(lost, notValid(r)); diff != "" {
			t.Errorf("%s: verdicts that are not valid (-want +got):\n%s", name, diff)
		}
		if c := r.Report.Clock; c == nil || c.Time != clocks[name] {
			t.Errorf("%s: by clock %v, want %s", name, c, clocks[name])
		}
	}
	if a, b := got["virtual"].Report.Clock.Digest, got["chosen"].Report.Clock.Digest; a == "" || a != b && !raceDetector() {
		t.Errorf("histories %q and %q of one seed, which part at %s", a, b, parting(t, got["virtual"], got["chosen"]))
	}
	if why := got["by sockets"].Report.Clock.Why; !strings.Contains(why, "scenariotest.DialsByEnv") {
		t.Errorf("in real time because %q", why)
	}
}

// parting is where the histories of two runs part.
func parting(t *testing.T, a, b scenariotest.Result) string {
	t.Helper()
	var readers [2]*history.Reader
	for i, r := range []scenariotest.Result{a, b} {
		opened, err := history.Open(rundir.HistoryIn(r.Folder))
		if err != nil {
			t.Fatal(err)
		}
		readers[i] = opened
	}
	first, second, _, err := history.FirstDifference(readers[0], readers[1])
	return fmt.Sprintf("%+v and %+v, %v", first, second, err)
}

func TestBodiesThatDoNotTellApart(t *testing.T) {
	t.Parallel()
	got, err := scenariotest.Play(t.Context(), "testdata/process-stream-cut.yaml", scenariotest.Out(t.TempDir()),
		process(dropsHeaders), scenariotest.Set("worker.correlate.id=body.customer"))
	want := `for correlate of "worker"; name a field whose values are one message's alone`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	if v := notValid(got)["delivery[order]"]; !strings.HasPrefix(v, "unknown") {
		t.Errorf("delivery of messages that are not told apart is %q", v)
	}
}

// A node whose policies are declared, and which runs code that writes to the store by itself: what
// only its own events could show is unknown, what the audit shows is known.
func TestWhatCannotBeSeenIsUnknown(t *testing.T) {
	t.Parallel()
	const file = "testdata/orders-stream-cut.yaml"
	allow := scenariotest.AllowUnknown("steady", "order", "trace[order]", "retry", "dead_letter")
	got := results(t, map[string]situation{
		"strict":  {file, options{process(storesObjects)}, nil},
		"allowed": {file, options{process(storesObjects), allow}, nil},
	})
	want := map[string]string{
		"steady": "unknown", "order[order]": "unknown", "trace[order]": "unknown",
		"retry[worker.orders]": "unknown", "dead_letter[stream/orders.dead]": "unknown",
	}
	for name, r := range got {
		if diff := cmp.Diff(want, notValid(r)); diff != "" {
			t.Errorf("%s: verdicts that are not valid (-want +got):\n%s", name, diff)
		}
	}
	if n := len(got["strict"].Differences); n != len(want) {
		t.Errorf("%d differences, want one for each unknown verdict", n)
	}
	if d := got["allowed"].Differences; len(d) > 0 {
		t.Errorf("differences though they are allowed: %v", d)
	}
}

func TestAProcessThatReturnsByItselfIsAFault(t *testing.T) {
	t.Parallel()
	ends := func(how func() error) scenariotest.Option {
		return process(func(ctx context.Context, env scenariotest.Env) error {
			w := newWorker(env)
			defer w.close()
			if _, err := w.reader.FetchMessage(ctx); err != nil {
				return err
			}
			return how()
		})
	}
	const file = "testdata/process-killed.yaml"
	want := map[string]string{
		"error":   "process worker[0] returned by itself: out of ideas",
		"nothing": "process worker[0] returned by itself, nothing had ended its context",
		"panic":   "process worker[0] returned by itself: panic: out of ideas",
	}
	results := results(t, map[string]situation{
		"error":   {file, options{ends(func() error { return errors.New("out of ideas") })}, nil},
		"nothing": {file, options{ends(func() error { return nil })}, nil},
		"panic":   {file, options{ends(func() error { panic("out of ideas") })}, nil},
	})
	for name, got := range results {
		if len(got.Faults) == 0 || !strings.HasPrefix(got.Faults[0].Error(), want[name]) {
			t.Errorf("%s: faults %v, want %q first", name, got.Faults, want[name])
		}
		if got.Report.Value == "valid" {
			t.Errorf("%s: a run in which nobody did the work is valid", name)
		}
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
