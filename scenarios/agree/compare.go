package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/faultline-sim/faultline/reports"
	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/scenarios/judge"
	"github.com/faultline-sim/faultline/scenarios/runner"
)

// ran is one scenario in one column.
type ran struct {
	refused  string            // why it cannot be run there; "" when it was
	verdicts map[string]string // value by assertion
}

// String is the verdicts in few words: "31 valid, 1 invalid".
func (r ran) String() string {
	if r.refused != "" {
		return "refused"
	}
	count := map[string]int{}
	for _, value := range r.verdicts {
		count[value]++
	}
	var words []string
	for _, value := range []string{"valid", "invalid", "unknown"} {
		if count[value] > 0 {
			words = append(words, fmt.Sprintf("%d %s", count[value], value))
		}
	}
	return strings.Join(words, ", ")
}

// row is one scenario in all columns.
type row struct {
	file string
	runs []ran
}

// The last column of a row.
const (
	agrees       = "yes"
	differs      = "NO"
	incomparable = "not comparable" // run in fewer than two columns
)

func (r row) word(differences []difference) string {
	run := 0
	for _, one := range r.runs {
		if one.refused == "" {
			run++
		}
	}
	switch {
	case run < 2:
		return incomparable
	case len(differences) > 0:
		return differs
	}
	return agrees
}

func (r row) name() string { return strings.TrimSuffix(filepath.Base(r.file), ".yaml") }

// difference is one assertion with more than one verdict.
type difference struct {
	name   string
	values []string // a column each; "none" where it was not judged
}

func (r row) differences() (all []difference) {
	names := map[string]bool{}
	for _, run := range r.runs {
		for name := range run.verdicts {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		d, found := difference{name: name}, map[string]bool{}
		for _, run := range r.runs {
			value := cmp.Or(run.verdicts[name], "none")
			d.values = append(d.values, value)
			if run.refused == "" {
				found[value] = true
			}
		}
		if len(found) > 1 {
			all = append(all, d)
		}
	}
	return all
}

// judged runs one scenario and gives its verdicts.
func judged(ctx context.Context, file string, load scenarios.Options, out string) (ran, error) {
	s, diags, err := scenarios.Load(file, load)
	if err != nil {
		return ran{}, err
	}
	if !diags.Empty() {
		return ran{refused: strings.TrimSpace(diags.String())}, nil
	}
	plan := scenarios.NewPlan(s)
	dir, err := judge.Begin(out, plan)
	if err != nil {
		return ran{}, err
	}
	defer dir.Close()
	outcome, stopped := runner.Run(ctx, plan, runner.Options{
		Dir: dir.History(), TCP: load.Wires == scenarios.TCPWires,
	})
	if stopped != nil {
		return ran{}, stopped
	}
	report, _, err := judge.End(dir, judge.NewFacts(outcome, nil, "agree", ""))
	if err != nil {
		return ran{}, err
	}
	return ran{verdicts: values(report)}, judge.Write(dir, report)
}

func values(r reports.Report) map[string]string {
	all := map[string]string{}
	for _, v := range r.Verdicts {
		all[v.Name] = string(v.Value)
	}
	return all
}
