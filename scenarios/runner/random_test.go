package runner

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/scenarios/runner/bubble"
)

// randomRuns is how many random runs the test makes where RUNS does not say.
const randomRuns = 12

// failedOnce are seeds of runs that have failed: 631 subscribes over an MQTT connection that paho knows to
// be lost and its reader does not yet.
var failedOnce = []int{631}

// TestNoRandomFaultsFreezeTheClock runs every engine that can live in virtual time under random
// faults. Whatever they do to the system, the clock goes on to the end, nothing that was started is
// left, and the audit is complete. "make frozen" makes a thousand runs.
func TestNoRandomFaultsFreezeTheClock(t *testing.T) {
	runs := randomRuns
	if asked, err := strconv.Atoi(os.Getenv("RUNS")); err == nil {
		runs = asked
	}
	system, err := filepath.Abs("testdata/every-engine.yaml")
	if err != nil {
		t.Fatal(err)
	}
	first, _ := strconv.Atoi(os.Getenv("FIRST"))
	seeds := slices.Clone(failedOnce)
	for n := range runs {
		seeds = append(seeds, first+n+1)
	}
	for _, seed := range seeds {
		text := randomScenario(system, uint64(seed))
		if err := runOnce(t, text); err != nil {
			t.Errorf("seed %d: %v\n%s", seed, err, text)
		}
	}
}

// runOnce is one run of a scenario, with nothing left of it.
func runOnce(t *testing.T, text string) error {
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "random.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	s, diags, err := scenarios.Load(file, scenarios.Options{Time: scenarios.VirtualTime})
	if err != nil || !diags.Empty() {
		return errors.Join(err, errors.New(diags.String()))
	}
	history := filepath.Join(dir, "run", "history")
	if err := os.MkdirAll(history, 0o700); err != nil {
		return err
	}
	out, err := Run(t.Context(), scenarios.NewPlan(s), Options{Dir: history})
	var frozen *bubble.FrozenError
	switch {
	case errors.As(err, &frozen):
		return fmt.Errorf("%w\n%s", err, frozen.All)
	case err != nil:
		return err
	case !out.Ended:
		return errors.New("the run ended without an error and without its audit")
	}
	return os.RemoveAll(dir)
}

// onWires and onNodes are faults that any wire or node of the system can have done to it.
var (
	onWires = []string{
		"fault: latency, latency: 300ms", "fault: latency, latency: 2s", "fault: bandwidth, rate: 2KB/s",
		"fault: timeout", "fault: reset", "fault: slow_close, latency: 1s",
		"fault: slicer, bytes: 64B, latency: 1ms", "fault: limit_data, bytes: 2KB", "fault: cut",
	}
	onServices = []string{
		"fault: stop", "fault: kill", "fault: pause", "fault: errors, share: 50%",
		"fault: slow, latency: 1s", "fault: outage",
	}
	onEngines = []string{"fault: stop", "fault: kill"}
	wireNames = []string{
		"devices -> mqtt", "rule -> mqtt", "rule -> stream", "worker -> stream", "worker -> rows",
		"worker -> cache", "callers -> api", "api -> topics", "archiver -> topics", "archiver -> objects",
		"* -> stream", "worker[1] -> stream",
	}
	services = []string{"rule", "worker", "api", "archiver"}
	engines  = []string{"mqtt", "stream", "topics", "rows", "cache", "objects"}
)

// randomScenario has up to nine faults, which may overlap also on one wire, of different kinds and in
// all directions.
func randomScenario(system string, seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 0))
	one := func(list []string) string { return list[r.IntN(len(list))] }
	var acts strings.Builder
	taken := map[string]bool{}
	for i := range 2 + r.IntN(8) {
		var what string
		switch r.IntN(4) {
		case 0, 1:
			what = fmt.Sprintf("wire: %q, %s", one(wireNames), one(onWires))
			if !strings.ContainsAny(what, "&") && r.IntN(2) == 0 && directed(what) {
				what += ", direction: " + one([]string{"requests", "replies", "both"})
			}
		case 2:
			what = fmt.Sprintf("node: %s, %s", one(services), one(onServices))
		default:
			what = fmt.Sprintf("node: %s, %s", one(engines), one(onEngines))
		}
		target := same(what)
		if taken[target] {
			continue // refused: what each of the two did could not be told apart
		}
		taken[target] = true
		fmt.Fprintf(&acts, "  - {name: f%d, at: %dms, for: %dms, %s}\n", i, r.IntN(4000), 1+r.IntN(8000), what)
	}
	return fmt.Sprintf("scenario: random\ntopology: %s\nseed: %d\nload: {readings: %d/s, orders: %d/s}\n"+
		"steady: 1s\ntimeline:\n%srecover: 5s\ndrain: 10s\n",
		system, seed, 5+r.IntN(20), 1+r.IntN(10), &acts)
}

// same is alike for two faults that may not overlap: two of one kind on a wire, of which several of the
// wires to the stream are one, and two on a node.
func same(what string) string {
	target, rest, _ := strings.Cut(what, ",")
	if strings.HasPrefix(target, "node:") {
		return target
	}
	if strings.Contains(target, "stream") {
		target = "stream"
	}
	kind, _, _ := strings.Cut(rest, ",")
	return target + kind
}

// directed says that a fault may be done to one direction alone.
func directed(what string) bool {
	for _, kind := range []string{"latency", "bandwidth", "timeout", "slicer"} {
		if strings.Contains(what, "fault: "+kind) {
			return true
		}
	}
	return false
}
