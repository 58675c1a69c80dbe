package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/reports"
	"github.com/faultline-sim/faultline/scenarios/runner"
)

// testOptions are the flags of test.
type testOptions struct {
	run      runOptions
	count    int
	parallel int
	junit    string
	keep     bool
}

func newTest(t *terminal) *cobra.Command {
	var o testOptions
	c := &cobra.Command{
		Use:   "test PATH…",
		Short: "Run scenarios and compare their verdicts with what they expect",
		Long: `Runs every scenario in the files and folders, several at once, and compares each one's verdicts with
its expect: section. Those that can be in virtual time are run first, each in a process of its own. Without one, every verdict must be valid. A broken twin passes when it gets
exactly the invalid verdicts it expects: a harness that cannot tell twins apart has proved nothing.`,
		Example: "  faultline test scenarios/library\n  faultline test outage.yaml --count 10",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.run.valid(); err != nil {
				return err
			}
			if err := t.readImages(&o.run); err != nil {
				return err
			}
			if o.count < 1 || c.Flags().Changed("parallel") && o.parallel < 1 {
				return usage(errors.New("--count and --parallel begin at 1"), "")
			}
			files, err := scenarioFiles(args)
			if err != nil {
				return err
			}
			return t.testAll(c.Context(), files, o)
		},
	}
	o.run.flags(c)
	c.Flags().IntVar(&o.count, "count", 1, "how often each scenario is run")
	c.Flags().IntVar(&o.parallel, "parallel", 0,
		"how many run at once (default: one for each processor in virtual time; three in real time, "+
			"where each wants about a third of a core)")
	c.Flags().BoolVar(&o.keep, "keep", false, "keep the folders of runs that passed too")
	c.Flags().StringVar(&o.junit, "junit", "", "also write the verdicts of all runs to this file, as JUnit XML")
	return c
}

// tested is one run of one scenario, held against what it expects.
type tested struct {
	judged
	file string
	err  error
	took time.Duration
}

// testAll runs all scenarios, a few at a time, and prints a line for each as it ends.
func (t *terminal) testAll(ctx context.Context, files []string, o testOptions) error {
	begun := time.Now()
	var virtual, real []string
	for _, file := range apart(files) {
		if o.run.virtual(file) {
			virtual = append(virtual, file)
		} else {
			real = append(real, file)
		}
	}
	all := t.testSome(ctx, virtual, o, cmp.Or(o.parallel, runtime.NumCPU()), t.runChild)
	all = append(all, t.testSome(ctx, real, o, cmp.Or(o.parallel, realAtOnce), t.runScenario)...)
	return t.testSummary(all, o, time.Since(begun))
}

// realAtOnce is how many runs in real time leave each other enough of two processors.
const realAtOnce = 3

// testSome runs scenarios by one way of running them.
func (t *terminal) testSome(
	ctx context.Context, files []string, o testOptions, parallel int,
	run func(context.Context, string, runOptions) (judged, error),
) (all []tested) {
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(parallel)
	for range o.count {
		for _, file := range files {
			group.Go(func() error {
				one := t.testOne(ctx, file, o.run, run)
				if one.passed() && !o.keep {
					one.err = os.RemoveAll(one.Folder)
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, one)
				t.printTested(one)
				return nil
			})
		}
	}
	_ = group.Wait() // each run keeps its own error
	return all
}

// apart is the files in an order, always the same one, that keeps a scenario and its broken twin
// from running side by side, with their peaks of load at the same moments.
func apart(files []string) []string {
	files = slices.Clone(files)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(files), func(i, j int) {
		files[i], files[j] = files[j], files[i]
	})
	return files
}

func (t *terminal) testOne(
	ctx context.Context, file string, o runOptions,
	run func(context.Context, string, runOptions) (judged, error),
) tested {
	if ctx.Err() != nil {
		return tested{file: file, err: context.Cause(ctx)}
	}
	begun := time.Now()
	o.progress = func(p runner.Progress) {
		if p.Long {
			fmt.Fprintf(t.err, "faultline: %s: %s\n", file, reports.Plain(p.Text))
		}
	}
	report, err := run(ctx, file, o)
	return tested{judged: report, file: file, err: err, took: time.Since(begun)}
}

func (one tested) passed() bool { return one.err == nil && len(one.differences) == 0 }

func (t *terminal) printTested(one tested) {
	if one.passed() {
		fmt.Fprintf(t.out, "ok    %-60s %6.1fs  %s\n", one.file, one.took.Seconds(), verdictWords(one.Report))
		return
	}
	fmt.Fprintf(t.out, "FAIL  %-60s %6.1fs\n", one.file, one.took.Seconds())
	if one.err != nil {
		fmt.Fprintf(t.out, "      %v\n", one.err)
	}
	for _, d := range one.differences {
		fmt.Fprintf(t.out, "      %s\n", reports.Plain(d.String()))
	}
	if one.Folder != "" {
		fmt.Fprintf(t.out, "      folder: %s\n", one.Folder)
	}
}

// verdictWords is "24 valid, 6 untested" or "22 valid; as expected: isolation invalid".
func verdictWords(r reports.Report) string {
	counts := reports.CountsOf(r.Verdicts)
	words := fmt.Sprintf("%d valid", counts.Valid)
	if counts.Untested > 0 {
		words += fmt.Sprintf(", %d untested", counts.Untested)
	}
	var others []string
	for _, v := range r.Verdicts {
		if v.Value != assertions.Valid && v.Value != assertions.Untested {
			others = append(others, fmt.Sprintf("%s %s", v.Name, v.Value))
		}
	}
	if len(others) > 0 {
		words += "; as expected: " + strings.Join(others, ", ")
	}
	return words
}

func (t *terminal) testSummary(all []tested, o testOptions, took time.Duration) error {
	failed, environmental := 0, error(nil)
	var judgedRuns []reports.Report
	for _, one := range all {
		if !one.passed() {
			failed++
		}
		var known *exit
		if errors.As(one.err, &known) && known.Code != exitInvalid {
			environmental = errors.Join(environmental, one.err)
		}
		judgedRuns = append(judgedRuns, one.Report)
	}
	fmt.Fprintf(t.out, "%d passed, %d failed\n", len(all)-failed, failed)
	fmt.Fprintf(t.err, "faultline: %d runs in %s\n", len(all), took.Round(time.Second))
	if o.junit != "" {
		if err := writeJUnit(o.junit, judgedRuns); err != nil {
			return environment(err, "")
		}
	}
	switch {
	case failed == 0:
		return nil
	case environmental != nil:
		var known *exit
		errors.As(environmental, &known)
		return &exit{Code: known.Code}
	}
	return &exit{Code: exitInvalid}
}

func writeJUnit(path string, all []reports.Report) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return reports.JUnit(f, all...)
}
