package scenariotest_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/scenarios/scenariotest"
)

// asked names the test of a user's that a process of its own is to run.
const asked = "FAULTLINE_TEST_OF_A_USER"

// usersTests are tests as users write them, which fail.
var usersTests = map[string]func(t *testing.T){
	"mistakes": func(t *testing.T) { scenariotest.Run(t, "testdata/orders-mistakes.yaml") },
	"no file":  func(t *testing.T) { scenariotest.Run(t, "testdata/nothing.yaml") },
	"unwritable": func(t *testing.T) {
		scenariotest.Run(t, ordersCut, scenariotest.Out("testdata/orders.yaml"))
	},
	"deadline": func(t *testing.T) { scenariotest.Run(t, ordersCut, scenariotest.RealTime()) },
	"deadline in virtual time": func(t *testing.T) {
		scenariotest.Run(t, ordersCut, scenariotest.Virtual(), scenariotest.Handler("worker", worksInTurns))
	},
	"work without end": func(t *testing.T) {
		scenariotest.Run(t, ordersCut, scenariotest.Virtual(), scenariotest.Handler("worker", works(1<<60)))
	},
	"not virtual": func(t *testing.T) {
		scenariotest.Run(t, ordersCut, scenariotest.Virtual(), scenariotest.Process("worker", commitsAfter))
	},
	"frozen": func(t *testing.T) {
		outside := make(chan struct{})
		defer close(outside) // wakes a run that is over
		scenariotest.Run(t, ordersCut, scenariotest.Handler("worker", func(context.Context, scenariotest.Message) error {
			<-outside
			return nil
		}))
	},
	"lost": func(t *testing.T) {
		scenariotest.Run(t, "testdata/process-killed.yaml", process(commitsBefore),
			scenariotest.Set("archive.replicas=1"), scenariotest.Seed(9))
	},
	"not as expected": func(t *testing.T) {
		scenariotest.Run(t, "testdata/orders-expected.yaml", handler(
			func(context.Context, scenariotest.Message) error { return nil })...)
	},
	"as expected": func(t *testing.T) {
		scenariotest.Run(t, "testdata/orders-expected.yaml", handler(
			func(_ context.Context, m scenariotest.Message) error {
				if few(m) {
					return scenariotest.Permanent(errors.New("never"))
				}
				return nil
			})...)
	},
}

// works is a handler that takes processor time: it digests so many bytes.
func works(size int) func(context.Context, scenariotest.Message) error {
	return func(context.Context, scenariotest.Message) error {
		digest, piece := sha256.New(), make([]byte, 1<<20)
		for done := 0; done < size; done += len(piece) {
			digest.Write(piece)
		}
		return nil
	}
}

// worksInTurns is a handler that never ends and takes far more processor time than its clock shows: ten
// milliseconds or so for each of them. Between two pieces of work it lets the clock go on, so that it is
// slow on any machine and frozen on none.
func worksInTurns(ctx context.Context, m scenariotest.Message) error {
	piece := works(4 << 20)
	for ctx.Err() == nil {
		if err := piece(ctx, m); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return ctx.Err()
}

func TestOfAUser(t *testing.T) {
	test, ok := usersTests[os.Getenv(asked)]
	if !ok {
		t.Skip("run by TestAsUsersSeeIt, in a process of its own, because it fails")
	}
	test(t)
}

func TestAsUsersSeeIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		pass bool
		want []string
	}{
		"mistakes": {nil, false, []string{"testdata/orders-mistakes.yaml has mistakes:",
			"testdata/orders-mistakes.yaml:3:8:", `did you mean "order"`, "testdata/orders-mistakes.yaml:5:"}},
		"no file":    {nil, false, []string{`read scenario "testdata/nothing.yaml"`}},
		"unwritable": {nil, false, []string{"the environment failed, which says nothing about the system"}},
		"deadline": {[]string{"-test.timeout=4s"}, false, []string{
			"the run did not come to its end: stopped in phase ", "the test's deadline is in 1s", "run folder: "}},
		"deadline in virtual time": {[]string{"-test.timeout=8s"}, false, []string{
			"the run did not come to its end: stopped in phase ", "the test's deadline is in 2s", "run folder: "}},
		"work without end": {[]string{"-test.timeout=10s"}, false, []string{
			"the virtual clock stood still", "it works on and never waits", "works", "run folder: "}},
		"not virtual": {nil, false, []string{"virtual time is not possible: ", "scenariotest.DialsByEnv"}},
		"frozen": {nil, false, []string{"the virtual clock stood still", "made outside of virtual time",
			"scenariotest.RealTime()", "run folder: "}},
		"lost": {nil, false, []string{"--- FAIL: TestOfAUser/delivery[order]", "--- PASS: TestOfAUser/load",
			"INVALID: ", "lost: order-", "publish     api orders", "suspected: worker",
			"repeat: go test -count=1 -run '^TestOfAUser$' (seed 9)", "run folder: "}},
		"not as expected": {nil, false, []string{"--- FAIL: TestOfAUser/steady", "expected {verdict: unknown",
			"--- PASS: TestOfAUser/delivery[order]"}},
		"as expected": {nil, true, []string{"--- PASS: TestOfAUser/steady"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"-test.v", "-test.run=^TestOfAUser$"}, c.args...)
			user := exec.CommandContext(t.Context(), os.Args[0], args...)
			user.Env = append(os.Environ(), asked+"="+name)
			said, err := user.CombinedOutput()
			if passed := err == nil; passed != c.pass {
				t.Errorf("passed: %v, want %v", passed, c.pass)
			}
			for _, want := range c.want {
				if !strings.Contains(string(said), want) {
					t.Errorf("it does not say %q", want)
				}
			}
			if t.Failed() {
				t.Logf("%s", said)
			}
		})
	}
}

// It is not parallel, so that the goroutines and files it counts are its own.
func TestNothingIsLeft(t *testing.T) {
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	got := results(t, map[string]situation{
		"handler":              {ordersCut, handler(price), nil},
		"process":              {"testdata/process-killed.yaml", options{process(commitsAfter)}, nil},
		"handler in real time": {ordersCut, append(handler(price), scenariotest.RealTime()), nil},
		"process in real time": {"testdata/process-killed.yaml", options{process(commitsAfter), scenariotest.RealTime()}, nil},
	})
	for name, r := range got {
		if r.Report.Value != "valid" {
			t.Errorf("%s: %v", name, r.Differences)
		}
	}
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for runtime.NumGoroutine() > goroutines || openFiles(t) > files {
		select {
		case <-tick.C:
		case <-deadline:
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before; %d open files, %d before:\n%s", runtime.NumGoroutine(), goroutines,
				openFiles(t), files, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// openFiles is how many descriptors the process holds: files, connections and listeners.
func openFiles(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}
