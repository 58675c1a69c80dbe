package diagnosis

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/faultline-sim/faultline/reports"
	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/scenarios/judge"
	"github.com/faultline-sim/faultline/scenarios/runner"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/d2"
)

const (
	system = "../../../topology/examples/iot-platform.yaml"
	// atOnce is how many diagnosed runs share the machine.
	atOnce = 4
	// cleanRuns is how many runs without a fault must name nobody.
	cleanRuns = 20
)

// diagnosed is one run whose fault the history alone must give away.
type diagnosed struct {
	name  string
	act   string   // its line of the timeline, "" for a clean run
	right []string // what may be named first; empty when nobody may
}

// BenchmarkDiagnosis breaks every wire of the iot-platform by a black hole, a cut and 500 ms of
// latency, makes every service and cloud answer 503, and reports the share of runs whose first
// suspect is the one at fault; then runs without a fault, and the share that names nobody.
func BenchmarkDiagnosis(b *testing.B) {
	t, diags, err := topology.Load(system, topology.Options{Draw: d2.Draw(d2.Options{}, nil)})
	if err != nil || !diags.Empty() {
		b.Fatal(err, diags.String())
	}
	for b.Loop() {
		faulted := brokenEverywhere(t)
		right := diagnose(b, faulted)
		b.ReportMetric(float64(right)/float64(len(faulted)), "top-1")
		clean := make([]diagnosed, cleanRuns)
		for i := range clean {
			clean[i].name = fmt.Sprintf("clean-%d", i)
		}
		b.ReportMetric(float64(diagnose(b, clean))/cleanRuns, "clean")
	}
}

// brokenEverywhere is one run for each wire and fault, and one for each program that can answer.
func brokenEverywhere(t *topology.Topology) (all []diagnosed) {
	logins := map[topology.Wire]string{}
	for _, n := range t.Nodes {
		if n.Login != "" {
			logins[topology.Wire{From: n.Name, To: n.Login}] = n.Name
		}
	}
	for _, w := range t.Wires() {
		newcomers, right := "", []string{w.String()}
		if fleet := logins[w]; fleet != "" {
			// Nobody uses the wire but those who log in; dropping connections to make newcomers is a
			// fault of its own, on the wires that members hold connections over.
			newcomers = fmt.Sprintf(
				"\n  - {at: 0.5s, node: %q, fault: reconnect_herd, share: 50%%, login: true}", fleet)
			right = append(right, held(t, fleet)...)
		}
		for _, fault := range []string{"timeout", "cut", "latency, latency: 500ms"} {
			all = append(all, diagnosed{
				name:  fmt.Sprintf("%s %s", strings.Split(fault, ",")[0], w),
				act:   fmt.Sprintf("{at: 0s, for: 4s, wire: %q, fault: %s}%s", w, fault, newcomers),
				right: right,
			})
		}
	}
	for _, n := range t.Nodes {
		if n.Kind == topology.Service && answers(n) || n.Kind == topology.Cloud {
			all = append(all, diagnosed{
				name:  "503 " + n.Name,
				act:   fmt.Sprintf("{at: 0s, for: 4s, node: %q, fault: errors, status: 503}", n.Name),
				right: []string{n.Name},
			})
		}
	}
	return all
}

// held are the wires from a node to those that carry channels, whose connections stay open.
func held(t *topology.Topology, node string) (wires []string) {
	for _, w := range t.Wires() {
		carries := func(c *topology.Channel) bool { return c.Node() == w.To }
		if w.From == node && slices.ContainsFunc(t.Channels, carries) {
			wires = append(wires, w.String())
		}
	}
	return wires
}

// answers says that a service has callers whom it could answer 503.
func answers(n *topology.Node) bool {
	for _, h := range n.Handlers {
		if h.HTTP != "" && n.Name != "service_platform.auth" { // logins are no flow's
			return true
		}
	}
	return false
}

// diagnose runs all and says how many named the right one.
func diagnose(b *testing.B, all []diagnosed) (right int) {
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, d := range all {
		group.Go(func() error {
			r, err := d.run(b.Context(), b.TempDir())
			if err != nil {
				return fmt.Errorf("%s: %w", d.name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if d.isRight(r.Suspects) {
				right++
				return nil
			}
			b.Logf("%s: wrong, the suspects are %v", d.name, r.Suspects)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	return right
}

func (d diagnosed) isRight(suspects []reports.Suspect) bool {
	if len(d.right) == 0 || len(suspects) == 0 {
		return len(d.right) == len(suspects)
	}
	for _, where := range d.right {
		if suspects[0].Where == where {
			return true
		}
	}
	return false
}

// run is one short run of the system with the fault, judged.
func (d diagnosed) run(ctx context.Context, dir string) (reports.Report, error) {
	path, err := filepath.Abs(system)
	if err != nil {
		return reports.Report{}, err
	}
	text := fmt.Sprintf(`scenario: diagnosis
topology: %q
load: {telemetry: 30/s, command: 15/s, app-query: 15/s, partner: 15/s, partner-app: 15/s}
steady: 4s
recover: 2s
drain: 5s
`, path)
	if d.act != "" {
		text += "timeline:\n  - " + d.act + "\n"
	}
	file := filepath.Join(dir, "diagnosis.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return reports.Report{}, err
	}
	s, diags, err := scenarios.Load(file, scenarios.Options{Time: scenarios.RealTime})
	if err != nil || !diags.Empty() {
		return reports.Report{}, fmt.Errorf("load: %w %s", err, diags.String())
	}
	plan := scenarios.NewPlan(s)
	folder, err := judge.Begin(dir, plan)
	if err != nil {
		return reports.Report{}, err
	}
	defer folder.Close()
	out, stopped := runner.Run(ctx, plan, runner.Options{Dir: folder.History()})
	if stopped != nil {
		return reports.Report{}, stopped
	}
	report, _, err := judge.End(folder, judge.NewFacts(out, nil, "bench", ""))
	return report, err
}
