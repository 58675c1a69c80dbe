// Replay runs scenarios in virtual time, each several times with the same seed, and looks whether
// every run left the same history. Where two differ it prints the first events that do.
//
// It goes load → plan → run → check by the program itself, a process for each run as a user's own
// runs have, as many at once as there are processors. It promises that a scenario which cannot be in
// virtual time is an error, and that its exit code is 1 where histories differ. Nothing imports it.
// "make replay" runs it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/reports/rundir"
)

func main() {
	times := flag.Int("times", 10, "how often each scenario is run")
	program := flag.String("program", "bin/faultline", "the program that runs them")
	seed := flag.String("seed", "", "seed of all runs (default: the scenario's)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	same, err := replay(ctx, os.Stdout, options{*program, *seed, *times}, flag.Args())
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "replay: error:", err)
		os.Exit(4)
	case !same:
		os.Exit(1)
	}
}

type options struct {
	program, seed string
	times         int
}

// replay runs all and says whether each scenario had one history.
func replay(ctx context.Context, out io.Writer, o options, files []string) (same bool, err error) {
	if len(files) == 0 {
		return false, errors.New("name the scenarios to run")
	}
	same = true
	for _, file := range files {
		one, err := o.scenario(ctx, out, file)
		if err != nil {
			return false, fmt.Errorf("replay %q: %w", file, err)
		}
		same = same && one
	}
	return same, nil
}

// scenario runs one scenario so often, in a folder that is removed.
func (o options) scenario(ctx context.Context, out io.Writer, file string) (same bool, err error) {
	dir, err := os.MkdirTemp("", "faultline-replay-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	for range o.times {
		group.Go(func() error { return o.run(ctx, file, dir) })
	}
	if err := group.Wait(); err != nil {
		return false, err
	}
	runs, err := rundir.List(dir)
	if err != nil {
		return false, err
	}
	if len(runs) != o.times {
		return false, fmt.Errorf("%d runs left %d folders", o.times, len(runs))
	}
	return compare(out, file, runs)
}

// run is one run. That something is not valid is no error here.
func (o options) run(ctx context.Context, file, dir string) error {
	words := []string{"run", file, "--time", "virtual", "--quiet", "--out", dir}
	if o.seed != "" {
		words = append(words, "--seed", o.seed)
	}
	c := exec.CommandContext(ctx, o.program, words...)
	c.Env = append(os.Environ(), "GOMAXPROCS=1")
	var said strings.Builder
	c.Stderr = &said
	err := c.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) && (ended.ExitCode() == 1 || ended.ExitCode() == 3) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	return nil
}

// compare prints how many histories there are among the runs, and where the first two part.
func compare(out io.Writer, file string, runs []rundir.Run) (same bool, err error) {
	byDigest := map[string]*history.Reader{}
	count := map[string]int{}
	for _, r := range runs {
		h, err := history.Open(rundir.HistoryIn(r.Path))
		if err != nil {
			return false, err
		}
		digest, err := h.Digest()
		if err != nil {
			return false, err
		}
		byDigest[digest] = h
		count[digest]++
	}
	name := strings.TrimSuffix(filepath.Base(file), ".yaml")
	digests := slices.Sorted(maps.Keys(count))
	if len(digests) == 1 {
		fmt.Fprintf(out, "%-40s %d runs, one history: sha256 %.16s…\n", name, len(runs), digests[0])
		return true, nil
	}
	fmt.Fprintf(out, "%-40s %d runs, %d HISTORIES\n", name, len(runs), len(digests))
	a, b, _, err := history.FirstDifference(byDigest[digests[0]], byDigest[digests[1]])
	if err != nil {
		return false, err
	}
	for _, e := range []*history.Event{a, b} {
		line, err := json.Marshal(e)
		if err != nil {
			return false, err
		}
		fmt.Fprintf(out, "  %s\n", line)
	}
	return false, nil
}
