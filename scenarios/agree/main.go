// Agree runs scenarios on embedded engines and on containers, and prints where their verdicts
// differ: a table, a line for each scenario.
//
// It goes load → plan → run → check twice for each file and reports only the comparison. It promises
// that the same files are run unchanged, that a scenario which the containers cannot do is listed
// with the reason and not left out, and that its exit code is 1 where a verdict differs. Nothing
// imports it. "make agree" runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	only := flag.String("only", "", "run only files whose name contains this")
	out := flag.String("out", "faultline-runs", "folder that run folders are kept in")
	flag.Parse()
	roots := flag.Args()
	if len(roots) == 0 {
		roots = []string{"scenarios/library/iot-platform"}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	same, err := agree(ctx, os.Stdout, options{roots, *only, *out})
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
}

// sets are the two sorts of engines that are compared.
var sets = [2]string{"embedded", "containers"}

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
		for j, engines := range sets {
			if r.runs[j], err = judged(ctx, file, engines, o.out); err != nil {
				return false, fmt.Errorf("run %q on %s engines: %w", file, engines, err)
			}
		}
		rows = append(rows, r)
	}
	return table(out, rows), nil
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
func table(out io.Writer, rows []row) (same bool) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "scenario\tembedded\tcontainers\tagree")
	agreed, refused := 0, 0
	for _, r := range rows {
		differences := r.differences()
		word := "yes"
		switch {
		case r.runs[1].refused != "":
			refused++
			word = "not comparable"
		case len(differences) > 0:
			word = "NO"
		default:
			agreed++
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.name(), r.runs[0], r.runs[1], word)
		for _, d := range differences {
			fmt.Fprintf(w, "  %s\t%s\t%s\t\n", d.name, d.values[0], d.values[1])
		}
	}
	w.Flush()
	for _, r := range rows {
		if r.runs[1].refused != "" {
			fmt.Fprintf(out, "\n%s is refused on containers: %s\n", r.name(), r.runs[1].refused)
		}
	}
	fmt.Fprintf(out, "\n%d of %d agree, %d differ, %d not comparable\n", agreed, len(rows),
		len(rows)-agreed-refused, refused)
	return agreed+refused == len(rows)
}
