// Agree runs scenarios in virtual time, over wires in memory, over sockets and on containers, or with
// several values of one setting (the broker's protocol), and prints where their verdicts differ: a
// table, a line for each scenario.
//
// It goes load → plan → run → check once a column for each file and reports only the comparison. It
// promises that the same files are run, changed in the one setting at most, that a scenario which
// cannot be run in a column is listed with the reason and not left out, and that its exit code is 1
// where a verdict differs. Nothing imports it. "make agree" and "make brokers" run it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/faultline-sim/faultline/scenarios"
)

func main() {
	only := flag.String("only", "", "run only files whose name contains this")
	out := flag.String("out", "faultline-runs", "folder that run folders are kept in")
	vary := flag.String("vary", "",
		"compare values of a setting, not sorts of engines: stream.protocol=kafka,nats")
	of := flag.String("columns", "virtual,memory,tcp,containers", "compare these ways of running")
	flag.Parse()
	roots := flag.Args()
	if len(roots) == 0 {
		roots = []string{"scenarios/library/iot-platform"}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	columns, err := columnsOf(*of, *vary)
	if err != nil {
		fmt.Fprintln(os.Stderr, "agree: error:", err)
		os.Exit(2)
	}
	same, err := agree(ctx, os.Stdout, options{roots, *only, *out, columns})
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "agree: error:", err)
		os.Exit(4)
	case !same:
		os.Exit(1)
	}
}

type options struct {
	roots []string
	only  string // part of a file's name; "" runs all
	out   string
	// columns are what is compared, the first one with each of the others.
	columns []column
}

// column is one way of running every file.
type column struct {
	name string
	load scenarios.Options
}

// ways are the ways of running that have a name.
var ways = map[string]scenarios.Options{
	"virtual":    {Time: scenarios.VirtualTime},
	"memory":     {Time: scenarios.RealTime},
	"tcp":        {Time: scenarios.RealTime, Wires: scenarios.TCPWires},
	"containers": {Time: scenarios.RealTime, Engines: "containers"},
}

// columnsOf are the named ways of running, or the values of a setting "node.field=a,b".
func columnsOf(names, vary string) (all []column, err error) {
	if vary == "" {
		for name := range strings.SplitSeq(names, ",") {
			way, known := ways[name]
			if !known {
				return nil, fmt.Errorf("-columns %q is not one of %s", name,
					strings.Join(slices.Sorted(maps.Keys(ways)), ", "))
			}
			all = append(all, column{name, way})
		}
		return all, nil
	}
	setting, values, _ := strings.Cut(vary, "=")
	for value := range strings.SplitSeq(values, ",") {
		all = append(all, column{value, scenarios.Options{Set: []string{setting + "=" + value}}})
	}
	if len(all) < 2 || slices.ContainsFunc(all, func(c column) bool { return c.name == "" }) {
		return nil, fmt.Errorf("-vary %q has no two values, write it as stream.protocol=kafka,nats", vary)
	}
	return all, nil
}

// agree runs all and prints the table; it says whether no verdict differs.
func agree(ctx context.Context, out io.Writer, o options) (same bool, err error) {
	files, err := o.files()
	if err != nil {
		return false, err
	}
	if len(files) == 0 {
		return false, errors.New("there is no scenario to run")
	}
	begun := time.Now()
	var rows []row
	for i, file := range files {
		fmt.Fprintf(os.Stderr, "%5.0fs  %d of %d  %s\n", time.Since(begun).Seconds(), i+1,
			len(files), file)
		r := row{file: file}
		for _, c := range o.columns {
			run, err := judged(ctx, file, c.load, o.out)
			if err != nil {
				return false, fmt.Errorf("run %q on %s: %w", file, c.name, err)
			}
			r.runs = append(r.runs, run)
		}
		rows = append(rows, r)
	}
	return table(out, o.columns, rows), nil
}

// files are the scenarios below the roots, sorted.
func (o options) files() (files []string, err error) {
	for _, root := range o.roots {
		walk := func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && filepath.Ext(path) == ".yaml" &&
				strings.Contains(filepath.Base(path), o.only) {
				files = append(files, path)
			}
			return err
		}
		if err := filepath.WalkDir(root, walk); err != nil {
			return nil, fmt.Errorf("look for scenarios: %w", err)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// table prints a line for each scenario, and below it what differs; it says whether nothing does.
func table(out io.Writer, columns []column, rows []row) (same bool) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "scenario")
	for _, c := range columns {
		fmt.Fprint(w, "\t", c.name)
	}
	fmt.Fprintln(w, "\tagree")
	count := map[string]int{}
	for _, r := range rows {
		differences := r.differences()
		word := r.word(differences)
		count[word]++
		fmt.Fprint(w, r.name())
		for _, run := range r.runs {
			fmt.Fprint(w, "\t", run)
		}
		fmt.Fprintln(w, "\t"+word)
		for _, d := range differences {
			fmt.Fprintf(w, "  %s\t%s\t\n", d.name, strings.Join(d.values, "\t"))
		}
	}
	w.Flush()
	for _, r := range rows {
		for i, run := range r.runs {
			if run.refused != "" {
				fmt.Fprintf(out, "\n%s is refused on %s: %s\n", r.name(), columns[i].name, run.refused)
			}
		}
	}
	fmt.Fprintf(out, "\n%d of %d agree, %d differ, %d not comparable\n", count[agrees], len(rows),
		count[differs], count[incomparable])
	return count[differs] == 0
}
