// Bench prints the figures that Faultline promises beside what they are on this machine: one table.
//
// It stands outside load → plan → run → check → report and runs the benchmarks beside it and those
// of the packages they are about. It promises that each ratio was taken within one run, alternating
// both sides, and is the median of several; processor time is measured where a busy machine would
// make wall time mean nothing. Nothing imports it. "make bench" runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"text/tabwriter"
	"time"
)

func main() {
	long := flag.Bool("long", false, "time the demo and diagnose every fault too: a quarter of an hour")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	met, err := run(ctx, os.Stdout, os.Stderr, *long)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(2)
	}
	if !met {
		os.Exit(1)
	}
}

// run measures everything and prints the table; it says whether all figures are met.
func run(ctx context.Context, out, progress io.Writer, long bool) (met bool, err error) {
	begin := time.Now()
	measured := metrics{}
	todo := benchmarks
	if long {
		todo = slices.Concat(benchmarks, longer)
	}
	for _, b := range todo {
		fmt.Fprintf(progress, "%4.0fs  %s %s\n", time.Since(begin).Seconds(), b.folder, b.name)
		if err := b.run(ctx, measured); err != nil {
			return false, err
		}
	}
	all := figures
	if long {
		fmt.Fprintf(progress, "%4.0fs  %s\n", time.Since(begin).Seconds(), demo.name)
		took, err := runDemo(ctx)
		if err != nil {
			return false, err
		}
		measured[demo.metric] = took.Seconds()
		all = slices.Concat(figures, diagnosis, []figure{demo})
	}
	fmt.Fprintf(progress, "%4.0fs  done\n\n", time.Since(begin).Seconds())
	return table(out, all, measured)
}

// table prints one line a figure.
func table(w io.Writer, all []figure, measured metrics) (met bool, err error) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "figure\tmeasured\trequired\tok")
	met = true
	for _, f := range all {
		value, ok := measured[f.metric]
		if !ok {
			return false, fmt.Errorf("find metric %q: no benchmark gave it", f.metric)
		}
		value /= f.per()
		good := f.good(value)
		met = met && good
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", f.name, f.show(value), f.required(), mark(f, good))
	}
	return met, t.Flush()
}

func mark(f figure, good bool) string {
	switch {
	case f.bound == none:
		return ""
	case good:
		return "yes"
	}
	return "NO"
}
