package main

import (
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

// ran is one scenario on one sort of engines.
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

// row is one scenario on both.
type row struct {
	file string
	runs [2]ran
}

func (r row) name() string { return strings.TrimSuffix(filepath.Base(r.file), ".yaml") }

// difference is one assertion with two verdicts.
type difference struct {
	name   string
	values [2]string // "none" where one side did not judge it
}

func (r row) differences() (all []difference) {
	if r.runs[1].refused != "" {
		return nil
	}
	names := maps.Clone(r.runs[0].verdicts)
	maps.Copy(names, r.runs[1].verdicts)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		d := difference{name: name}
		for i := range d.values {
			d.values[i] = "none"
			if v, ok := r.runs[i].verdicts[name]; ok {
				d.values[i] = v
			}
		}
		if d.values[0] != d.values[1] {
			all = append(all, d)
		}
	}
	return all
}

// judged runs one scenario and gives its verdicts.
func judged(ctx context.Context, file, engines, out string) (ran, error) {
	s, diags, err := scenarios.Load(file, scenarios.Options{Engines: engines})
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
	outcome, stopped := runner.Run(ctx, plan, runner.Options{Dir: dir.History()})
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
