package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/scenarios/runner"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/d2"
	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

func newValidate(t *terminal) *cobra.Command {
	var set []string
	var engines string
	c := &cobra.Command{
		Use:   "validate FILE…",
		Short: "Check topologies and scenarios, all mistakes at once",
		Long: `Checks each file, a topology or a scenario with the topology it names, and holds the topology
against its drawing, both ways. Runs nothing. Mistakes are printed as file:line:column. What the
engines, chosen by --engines, or this machine cannot do is refused with the reason.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := validEngines(engines); err != nil {
				return err
			}
			opt := scenarios.Options{Set: set, Engines: engines, Machine: runner.Machine()}
			var all diag.List
			for _, file := range args {
				said, diags, err := validate(file, opt)
				if err != nil {
					return err
				}
				all.Append(diags)
				if diags.Empty() {
					fmt.Fprintf(t.out, "%s: %s\n", file, said)
				}
			}
			if !all.Empty() {
				return t.mistakes(all)
			}
			return nil
		},
	}
	setFlag(c, &set)
	enginesFlag(c, &engines)
	return c
}

// validate checks one file and says what is good about it.
func validate(file string, opt scenarios.Options) (said string, diags diag.List, err error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return "", diags, readFailed(err)
	}
	if !isScenario(file, src) {
		top, said, diags, err := validateTopology(file, opt.Set)
		return noted(said, top, opt.Engines), diags, err
	}
	s, diags, err := scenarios.Load(file, opt)
	if err != nil || !diags.Empty() {
		return "", diags, readFailedOrNil(err)
	}
	_, said, diags, err = validateTopology(s.TopologyFile, opt.Set)
	said = fmt.Sprintf("%s; a run takes at most %s%s", said,
		scenarios.NewPlan(s).Longest().Round(time.Second), clockWords(s))
	return noted(said, s.Promise, opt.Engines), diags, err
}

// clockWords say by which clock a scenario is run, where that is not the machine's by choice.
func clockWords(s *scenarios.Scenario) string {
	switch {
	case s.Time == scenarios.VirtualTime:
		return " of virtual time"
	case s.TimeWhy != "":
		return ", in real time: " + s.TimeWhy
	}
	return ""
}

// noted is what is said of a file, with what cannot be judged of it, and what this machine has to
// get before it can run it, a line each.
func noted(said string, t *topology.Topology, engines string) string {
	if t == nil {
		return said
	}
	for _, note := range append(t.Notes(), missingPrograms(t, engines)...) {
		said += "\n  note: " + note
	}
	return said
}

func validateTopology(file string, set []string) (
	top *topology.Topology, said string, diags diag.List, err error,
) {
	var drawing *d2.Drawing
	top, diags, err = loadWith(file, set, &drawing)
	if err != nil || !diags.Empty() {
		return nil, "", diags, readFailedOrNil(err)
	}
	if drawing == nil {
		return top, fmt.Sprintf("no drawing; %d wires", len(top.Wires())), diags, nil
	}
	report := d2.Drift(top, drawing)
	return top, report.String(), report.Diags, nil
}

func readFailedOrNil(err error) error {
	if err == nil {
		return nil
	}
	return readFailed(err)
}

// scenarioKey is a key that only scenarios have, at the beginning of a line.
var scenarioKey = regexp.MustCompile(`(?m)^(scenario|load|timeline)[ \t]*:`)

// isScenario tells a scenario from a topology, also where its YAML is broken: its mistakes are
// then told, rather than the file left out.
func isScenario(file string, src []byte) bool {
	var broken diag.List
	v := yamlpos.Parse(file, src, &broken)
	if !v.Present() && !broken.Empty() {
		return scenarioKey.Match(src)
	}
	return v.Get("scenario").Present() || v.Get("load").Present() || v.Get("timeline").Present()
}

// scenarioFiles are the scenario files that paths name: files as they are, folders with all
// scenarios in and below them, in order.
func scenarioFiles(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, readFailed(err)
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		below, err := scenariosBelow(path)
		if err != nil {
			return nil, err
		}
		files = append(files, below...)
	}
	if len(files) == 0 {
		return nil, usage(fmt.Errorf("no scenario in %s", strings.Join(paths, ", ")),
			"a scenario is a YAML file with \"scenario:\" or \"load:\" in it")
	}
	return files, nil
}

func scenariosBelow(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" &&
			filepath.Ext(path) != ".yml" {
			return err
		}
		src, err := os.ReadFile(path)
		if err == nil && isScenario(path, src) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return nil, usage(errors.Join(fmt.Errorf("look for scenarios in %q", dir), err), "")
	}
	return files, nil
}
