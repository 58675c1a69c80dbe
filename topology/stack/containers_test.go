//go:build containers

package stack_test

import (
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/features"
	"github.com/faultline-sim/faultline/topology/stack"
)

// grace is how much longer all engines side by side may take than the slowest of them alone.
const grace = 2 * time.Second

func TestFiveEnginesInContainersSideBySide(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	took := map[string]time.Duration{}
	begun := time.Now()
	s, err := stack.Up(t.Context(), stack.Options{
		Topology: system(), Dir: dir, Engines: "containers", Run: t.Name(),
		Progress: func(p stack.Progress) {
			mu.Lock()
			defer mu.Unlock()
			took[p.Node] = p.Took
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	all := time.Since(begun)
	var slowest time.Duration
	for _, d := range took {
		slowest = max(slowest, d)
	}
	t.Logf("ready after %s: %v", all.Round(time.Millisecond), took)
	if all > slowest+grace {
		t.Errorf("five engines/side by side/%s, the slowest alone %s", all, slowest)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("closed after %s", (time.Since(begun) - all).Round(time.Millisecond))
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestEnginesOfBothSortsSideBySide(t *testing.T) {
	sys := system()
	sys.Node("cache").Engine = "container"
	s, err := stack.Up(t.Context(), stack.Options{Topology: sys, Dir: t.TempDir(), Run: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var names []string
	for _, i := range s.Infos() {
		names = append(names, i.Name)
	}
	slices.Sort(names)
	f, _ := features.Of(features.Container, sys.Node("cache"))
	if !slices.Contains(names, f.Name) || !slices.Contains(names, "kfake") {
		t.Errorf("engines/auto, one in a container/got %v", names)
	}
}

// BenchmarkReadyInContainers compares five engines side by side with the slowest of them alone, by
// turns in one run.
func BenchmarkReadyInContainers(b *testing.B) {
	alone := &topology.Topology{Nodes: []*topology.Node{system().Node("stream")}}
	var one, five time.Duration
	for b.Loop() {
		one += readyAfter(b, alone)
		five += readyAfter(b, system())
	}
	b.ReportMetric(one.Seconds()/float64(b.N), "alone-s")
	b.ReportMetric(five.Seconds()/float64(b.N), "five-s")
}

func readyAfter(b *testing.B, t *topology.Topology) time.Duration {
	b.Helper()
	begun := time.Now()
	s, err := stack.Up(b.Context(), stack.Options{
		Topology: t, Dir: b.TempDir(), Engines: "containers", Run: b.Name(),
	})
	if err != nil {
		b.Fatal(err)
	}
	took := time.Since(begun)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	return took
}
