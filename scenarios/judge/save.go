package judge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/faultline-sim/faultline/assertions/spec"
	"github.com/faultline-sim/faultline/reports"
	"github.com/faultline-sim/faultline/reports/rundir"
	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/scenarios/runner"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/features"
)

// Facts are what is known of a run beside its plan and history. They stand in the run's folder, so
// that a saved run is judged as it was when it ended.
type Facts struct {
	Faultline string           `json:"faultline"` // version of the program that ran it
	Repeat    string           `json:"repeat"`
	Stopped   string           `json:"stopped,omitempty"`
	Engines   []reports.Engine `json:"engines"`
	Took      time.Duration    `json:"duration_ns"`
	Transport string           `json:"transport,omitempty"`
}

// Begin makes the folder of a run below a parent folder, with its plan in it. The error is a
// *runner.EnvironmentError.
func Begin(parent string, p *scenarios.Plan) (*rundir.Dir, error) {
	dir, err := rundir.Create(parent, p.Name)
	if err != nil {
		return nil, &runner.EnvironmentError{Err: err}
	}
	if err := SavePlan(dir, p); err != nil {
		return nil, &runner.EnvironmentError{Err: errors.Join(err, dir.Close())}
	}
	return dir, nil
}

// End keeps what is known of a run that ended in its folder, judges it, and holds its verdicts
// against what its scenario expects.
func End(dir *rundir.Dir, f Facts) (reports.Report, []spec.Difference, error) {
	if err := SaveFacts(dir, f); err != nil {
		return reports.Report{}, nil, err
	}
	return Compare(dir.Path())
}

// NewFacts is what an outcome, nil for none, leaves to be known. Stopped is the error the run ended
// with.
func NewFacts(out *runner.Outcome, stopped error, version, repeat string) Facts {
	f := Facts{Faultline: version, Repeat: repeat}
	if stopped != nil {
		f.Stopped = stopped.Error()
	}
	if out == nil {
		return f
	}
	f.Took, f.Transport = out.Took, string(out.Transport)
	for _, node := range slices.Sorted(maps.Keys(out.Engines)) {
		i := out.Engines[node]
		f.Engines = append(f.Engines, reports.Engine{
			Node: node, Name: i.Name, Version: i.Version, Imitation: i.Imitation, Worth: i.Worth,
		})
	}
	return f
}

// saved is plan.json: all that a judge needs of the plan. Durations in it are texts: "1.5s".
type saved struct {
	Format   int                  `json:"format"`
	File     string               `json:"file"`
	Seed     uint64               `json:"seed"`
	Engines  string               `json:"engines"`        // as asked for: auto, embedded or containers
	Time     string               `json:"time,omitempty"` // virtual or real; "" is real
	TimeWhy  string               `json:"time_why,omitempty"`
	Plan     string               `json:"plan"` // for people
	Phases   []scenarios.Phase    `json:"phases"`
	Acts     []scenarios.Act      `json:"acts"`
	Flows    []scenarios.FlowPlan `json:"flows"`
	Promise  *topology.Topology   `json:"promise"`
	AsBuilt  *topology.Topology   `json:"as_built,omitempty"` // when it differs from the promise
	Topology string               `json:"topology"`
}

// planFormat is the version of plan.json. A reader refuses a higher one; it still reads the first,
// in which durations are numbers of nanoseconds.
const planFormat = 2

// SavePlan puts the scenario, its topology and drawing, and the plan in the run's folder. It is
// done before the run, so that a killed run can be judged too.
func SavePlan(dir *rundir.Dir, p *scenarios.Plan) error {
	s := saved{
		Format: planFormat, File: p.File, Seed: p.Seed, Engines: p.Engines, Plan: p.String(),
		Time: p.Time, TimeWhy: p.TimeWhy,
		Topology: p.TopologyFile,
		Phases:   p.Phases, Acts: p.Acts, Flows: p.Flows, Promise: p.Promise,
	}
	if p.AsBuilt != p.Promise {
		s.AsBuilt = p.AsBuilt
	}
	errs := []error{
		dir.Copy(rundir.ScenarioFile, p.File),
		dir.Copy(rundir.TopologyFile, p.TopologyFile),
		writePlan(dir, s),
	}
	if p.Promise.Drawing != "" {
		errs = append(errs, dir.Copy(rundir.DrawingFile, p.Promise.Drawing))
	}
	return errors.Join(errs...)
}

// SaveFacts puts what is known of a run that ended in its folder.
func SaveFacts(dir *rundir.Dir, f Facts) error { return writeJSON(dir, rundir.FactsFile, f) }

func writeJSON(dir *rundir.Dir, name string, value any) error {
	return dir.Write(name, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", " ")
		return enc.Encode(value)
	})
}

func writePlan(dir *rundir.Dir, s saved) error {
	src, err := encode(s)
	if err != nil {
		return fmt.Errorf("write %q: %w", rundir.PlanFile, err)
	}
	return dir.Write(rundir.PlanFile, func(w io.Writer) error {
		_, err := w.Write(append(src, '\n'))
		return err
	})
}

// load reads what SavePlan and SaveFacts wrote. A run that was killed has no facts.
func load(path string) (*scenarios.Plan, Facts, error) {
	var f Facts
	s, err := readPlan(filepath.Join(path, rundir.PlanFile))
	if err != nil {
		return nil, f, err
	}
	err = readJSON(filepath.Join(path, rundir.FactsFile), &f)
	switch {
	case errors.Is(err, os.ErrNotExist):
		f.Stopped = "the run was killed: its folder has no " + rundir.FactsFile
		f.Engines = planned(s)
	case err != nil:
		return nil, f, err
	}
	if s.AsBuilt == nil {
		s.AsBuilt = s.Promise
	}
	scenario, diags, err := scenarios.Load(filepath.Join(path, rundir.ScenarioFile), scenarios.Options{
		Seed: &s.Seed, Engines: s.Engines,
		Saved: &scenarios.Saved{Promise: s.Promise, AsBuilt: s.AsBuilt, Time: s.Time, TimeWhy: s.TimeWhy},
	})
	if err == nil && !diags.Empty() {
		err = fmt.Errorf("this program does not understand the run's scenario:\n%s", diags.String())
	}
	if err != nil {
		return nil, f, err
	}
	scenario.File = s.File
	return scenarios.NewPlan(scenario), f, nil
}

// readPlan reads plan.json, of this format or the one before.
func readPlan(path string) (s saved, err error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	var head struct{ Format int }
	if err := json.Unmarshal(src, &head); err != nil {
		return s, fmt.Errorf("read %q: %w", path, err)
	}
	read := decode
	switch {
	case head.Format > planFormat:
		return s, fmt.Errorf("%s has format %d, newer than this program's %d", rundir.PlanFile,
			head.Format, planFormat)
	case head.Format == 1:
		read = json.Unmarshal
	}
	if err := read(src, &s); err != nil {
		return s, fmt.Errorf("read %q: %w", path, err)
	}
	return s, nil
}

// planned are the engines that a plan asks for, where nobody could say which ones there were.
func planned(s saved) (all []reports.Engine) {
	for _, n := range s.Promise.Nodes {
		f, ok := features.Of(features.Choose(n, s.Engines), n)
		if ok && n.Own == nil {
			all = append(all, reports.Engine{
				Node: n.Name, Name: f.Name, Imitation: f.Imitation, Worth: f.Worth,
			})
		}
	}
	return all
}

func readJSON(path string, into any) error {
	src, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(src, into); err != nil {
		return fmt.Errorf("read %q: %w", path, err)
	}
	return nil
}
