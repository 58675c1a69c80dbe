package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/reports/rundir"
	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/scenarios/judge"
	"github.com/faultline-sim/faultline/scenarios/runner"
)

const (
	scenarioFile = "testdata/steady.yaml"
	setups       = 7
	checks       = 7
)

// errUp ends a run whose system is up.
var errUp = errors.New("the system is up")

// BenchmarkReady is how long the iot-platform takes from nothing until every engine and simulator
// is ready and all 200 devices are logged in, and the parts of that time.
func BenchmarkReady(b *testing.B) {
	for b.Loop() {
		var whole, used []float64
		parts := map[string][]float64{}
		for range setups {
			s := setUp(b)
			whole = append(whole, s.ready.Seconds()*1e3)
			used = append(used, s.cpu.Seconds()*1e3)
			for name, took := range s.parts {
				parts[name] = append(parts[name], took.Seconds()*1e3)
			}
		}
		b.ReportMetric(median(whole), "ready-ms")
		b.ReportMetric(median(used), "cpu-ms")
		for name, took := range parts {
			b.ReportMetric(median(took), name+"-ms")
		}
	}
}

// setup is one way up. Parts are times since the run began.
type setup struct {
	ready time.Duration
	cpu   time.Duration // of the whole process
	parts map[string]time.Duration
}

func setUp(b *testing.B) setup {
	plan := load(b)
	s := setup{parts: map[string]time.Duration{}}
	ctx, cancel := context.WithCancelCause(b.Context())
	defer cancel(nil)
	dir := b.TempDir()
	before := processTime()
	_, err := runner.Run(ctx, plan, runner.Options{Dir: dir, Progress: func(p runner.Progress) {
		switch {
		case strings.HasPrefix(p.Text, "toxiproxy API"):
			s.parts["engines"] = p.At
		case strings.HasPrefix(p.Text, "ready after"):
			s.ready, s.cpu = p.At, processTime()-before
			cancel(errUp)
		}
	}})
	if !errors.Is(err, errUp) {
		b.Fatalf("set up: %v", err)
	}
	each(b, dir, func(e *history.Event) {
		if e.Kind == history.NodeState && e.Reason == "ready" {
			name := e.Node[strings.LastIndex(e.Node, ".")+1:]
			s.parts[name] = max(s.parts[name], time.Duration(e.At))
		}
	})
	return s
}

// BenchmarkCheck runs the scenario once, with all flows, and judges what it left again and again,
// on one core.
func BenchmarkCheck(b *testing.B) {
	for b.Loop() {
		dir := ran(b)
		events := 0
		each(b, dir.History(), func(*history.Event) { events++ })
		b.ReportMetric(float64(size(b, dir.History()))/float64(events), "disk-B/event")
		b.ReportMetric(float64(events)/onOneCore(b, dir).Seconds(), "check-events/s")
	}
}

// ran is the folder of a run of the scenario.
func ran(b *testing.B) *rundir.Dir {
	plan := load(b)
	dir, err := rundir.Create(b.TempDir(), plan.Name)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { dir.Close() })
	if err := judge.SavePlan(dir, plan); err != nil {
		b.Fatal(err)
	}
	out, err := runner.Run(b.Context(), plan, runner.Options{Dir: dir.History()})
	if err != nil {
		b.Fatal(err)
	}
	if err := judge.SaveFacts(dir, judge.NewFacts(out, nil, "bench", "make bench")); err != nil {
		b.Fatal(err)
	}
	return dir
}

// onOneCore is the processor time that one check takes: reading, judging, diagnosing.
func onOneCore(b *testing.B, dir *rundir.Dir) time.Duration {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var took []float64
	for range checks {
		begin := processTime()
		if _, err := judge.Run(dir.Path()); err != nil {
			b.Fatal(err)
		}
		took = append(took, float64(processTime()-begin))
	}
	return time.Duration(median(took))
}

func load(b *testing.B) *scenarios.Plan {
	s, diags, err := scenarios.Load(scenarioFile, scenarios.Options{Time: scenarios.RealTime})
	if err != nil || !diags.Empty() {
		b.Fatalf("load %s: %v\n%s", scenarioFile, err, diags.String())
	}
	return scenarios.NewPlan(s)
}

func each(b *testing.B, dir string, tell func(*history.Event)) {
	h, err := history.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	for e := range h.Events {
		tell(e)
	}
	if err := h.Err(); err != nil {
		b.Fatal(err)
	}
}

// size is the bytes of all files in a folder.
func size(b *testing.B, dir string) (bytes int64) {
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(fmt.Errorf("measure %s: %w", filepath.Base(dir), err))
	}
	return bytes
}
