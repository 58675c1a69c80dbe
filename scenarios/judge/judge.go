// Package judge turns the folder of a run into a report: the history is read, every assertion of
// the scenario judged, and what is found written beside it.
//
// It is the check step, and the files of the report step, of load → plan → run → check → report.
// It reads nothing but the run's folder, so a saved run is judged again on any machine. It opens
// no connection and imports nothing that does.
package judge

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/diagnose"
	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/assertions/spec"
	"github.com/faultline-sim/faultline/reports"
	"github.com/faultline-sim/faultline/reports/rundir"
	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/features"
)

// Run judges the run in a folder and says what there is to report.
func Run(path string) (reports.Report, error) {
	r, _, err := judge(path)
	return r, err
}

// Compare judges the run in a folder and holds its verdicts against what its scenario expects.
func Compare(path string) (reports.Report, []spec.Difference, error) {
	r, plan, err := judge(path)
	if err != nil {
		return r, nil, err
	}
	return r, spec.Compare(plan.Assert.Expect, r.Verdicts), nil
}

func judge(path string) (reports.Report, *scenarios.Plan, error) {
	plan, facts, err := load(path)
	if err != nil {
		return reports.Report{}, nil, fmt.Errorf("judge run %q: %w", path, err)
	}
	h, err := history.Open(rundir.HistoryIn(path))
	if err != nil {
		return reports.Report{}, nil, fmt.Errorf("judge run %q: %w", path, err)
	}
	context := contextOf(plan, facts)
	verdicts, ledger := assertions.JudgeWithLedger(h.Events, spec.Checks(plan.Assert.All), context)
	if err := h.Err(); err != nil {
		return reports.Report{}, nil, fmt.Errorf("judge run %q: read history: %w", path, err)
	}
	r := reports.Report{
		Format: reports.Format, Faultline: facts.Faultline,
		Scenario: plan.Name, Description: plan.Description, Topology: plan.Promise.Name,
		File: plan.File, Seed: plan.Seed, Run: filepath.Base(path), Folder: path,
		Value: reports.Overall(verdicts), Stopped: facts.Stopped, Verdicts: verdicts,
		Predicted: context.Predicted, Wires: len(plan.AsBuilt.Wires()),
		Engines: withSorts(plan, facts.Engines),
		Events:  h.Len(), Shed: h.Shed(), Took: facts.Took, Repeat: facts.Repeat,
		Transport: facts.Transport,
	}
	if r.Clock, err = clockOf(plan, h); err != nil {
		return reports.Report{}, nil, fmt.Errorf("judge run %q: read history: %w", path, err)
	}
	for _, n := range plan.Promise.Nodes {
		r.Nodes = append(r.Nodes, n.Name)
	}
	fill(&r, plan, ledger)
	for _, s := range diagnose.Diagnose(h.Events, plan.Promise) {
		r.Suspects = append(r.Suspects, reports.Suspect{Where: s.Where, Score: s.Score, Evidence: s.Evidence})
	}
	return r, plan, nil
}

// clockOf is by what time a run went, and what its history is known by.
func clockOf(plan *scenarios.Plan, h *history.Reader) (c *reports.Clock, err error) {
	c = &reports.Clock{Time: plan.Time, Why: plan.TimeWhy}
	if plan.Time == scenarios.VirtualTime {
		c.Worth = scenarios.WorthOfVirtual
		c.Digest, err = h.Digest()
	}
	return c, err
}

// withSorts are engines with the sort that each is of.
func withSorts(plan *scenarios.Plan, engines []reports.Engine) []reports.Engine {
	engines = slices.Clone(engines)
	for i := range engines {
		if n := plan.AsBuilt.Node(engines[i].Node); n != nil {
			engines[i].Set = string(features.Choose(n, plan.Engines))
		}
	}
	return engines
}

// contextOf is what checkers may know of a run beside its history.
func contextOf(plan *scenarios.Plan, facts Facts) assertions.Context {
	c := assertions.Context{
		Topology: plan.Promise, Asked: map[string]int64{},
		Engines: map[string]string{}, Predicted: map[string][]string{},
	}
	for _, f := range plan.Flows {
		c.Asked[f.Flow] = f.Messages
	}
	for _, e := range facts.Engines {
		c.Engines[e.Node] = engineWords(plan.Promise, e)
	}
	for _, a := range plan.Acts {
		if f := a.Fault; f != nil && len(f.Wires)+len(f.Nodes) > 0 {
			c.Predicted[a.Name] = plan.Promise.Predict(f.Nodes, f.Wires)
		}
	}
	c.Blast = blasts(plan, c.Predicted)
	return c
}

// blasts is what each fault may hurt: the radius that an isolation declares, else the predicted one,
// each flow for as long as a recovery grants it.
func blasts(plan *scenarios.Plan, predicted map[string][]string) map[string]assertions.Blast {
	all := map[string]assertions.Blast{}
	for _, a := range plan.Assert.All {
		if a.Property != "isolation" {
			continue
		}
		b := assertions.Blast{Flows: maps.Clone(a.Blast)}
		if a.Blast == nil {
			b.Flows = map[string]time.Duration{}
			for _, f := range predicted[a.Fault] {
				b.Flows[f] = 0
			}
		}
		all[a.Fault] = b
	}
	for _, a := range plan.Assert.All {
		if b, known := all[a.Fault]; known && a.Property == "recovery" {
			for flow, within := range a.Blast {
				if grace, in := b.Flows[flow]; in {
					b.Flows[flow] = max(grace, within)
				}
			}
		}
	}
	return all
}

// engineWords is "kafka: kfake v0.1 (imitation)".
func engineWords(t *topology.Topology, e reports.Engine) string {
	words := strings.TrimSpace(e.Name + " " + e.Version)
	if n := t.Node(e.Node); n != nil {
		words = n.Protocol + ": " + words
	}
	if e.Imitation {
		words += " (imitation)"
	}
	return words
}

// fill adds the figures that the ledger and the plan give.
func fill(r *reports.Report, plan *scenarios.Plan, l *assertions.Ledger) {
	for _, p := range l.Phases() {
		r.Phases = append(r.Phases, reports.Phase{Name: p.Name, From: p.From, To: p.To})
	}
	for _, a := range plan.Acts {
		if a.Fault == nil {
			continue
		}
		f := reports.Fault{Name: a.Name, What: a.Fault.String(), From: -1, To: -1}
		for _, span := range l.Faults() {
			if span.Name == a.Name {
				widen(&f, span)
			}
		}
		r.Faults = append(r.Faults, f)
	}
	for _, u := range l.Usage() {
		r.Usage = append(r.Usage, reports.Usage{
			Node: u.Node, PeakCPU: u.PeakCPU, PeakMemory: u.PeakMemory,
		})
	}
	for _, s := range l.Summary() {
		f := reports.Flow{Name: s.Flow, Asked: s.Asked, Sent: s.Sent, Ok: s.Accepted}
		for _, sink := range s.Sinks {
			f.Sinks = append(f.Sinks, reports.Sink{
				Node: sink.Node, Arrived: sink.Arrived, P50: sink.P50, P99: sink.P99, Max: sink.Max,
				SLO: sloWords(plan.Promise, s.Flow, sink.Node), Broken: broken(r.Verdicts, s.Flow, sink.Node),
			})
		}
		r.Flows = append(r.Flows, f)
		r.Messages += s.Sent
	}
}

// broken says that a verdict on a flow's SLO names a sink.
func broken(verdicts []assertions.Verdict, flow, sink string) bool {
	return slices.ContainsFunc(verdicts, func(v assertions.Verdict) bool {
		return v.Property == "slo" && v.Flow == flow && v.Value == assertions.Invalid &&
			slices.ContainsFunc(v.Anomalies, func(a assertions.Anomaly) bool { return a.Where == sink })
	})
}

// widen takes one target's span of a fault into the fault's own.
func widen(f *reports.Fault, span assertions.FaultSpan) {
	if f.From < 0 || span.From < f.From {
		f.From = span.From
	}
	if span.Healed {
		f.To = max(f.To, span.To)
	}
	f.Bite = max(f.Bite, span.Bite)
}

func sloWords(t *topology.Topology, flow, node string) string {
	f := t.Flow(flow)
	if f == nil {
		return ""
	}
	for _, s := range f.Sinks {
		if s.Node != node {
			continue
		}
		var words []string
		if s.Success > 0 {
			words = append(words, fmt.Sprintf("%g%%", s.Success*100))
		}
		if s.P50 > 0 {
			words = append(words, "p50 "+s.P50.String())
		}
		if s.P99 > 0 {
			words = append(words, "p99 "+s.P99.String())
		}
		return strings.Join(words, ", ")
	}
	if f.ReplyWithin > 0 {
		return "reply " + f.ReplyWithin.Round(time.Millisecond).String()
	}
	return ""
}

// Write puts a report's files in the run's folder.
func Write(dir *rundir.Dir, r reports.Report) error {
	return errors.Join(
		dir.Write(rundir.ResultFile, func(w io.Writer) error { return reports.JSON(w, r) }),
		dir.Write(rundir.JUnitFile, func(w io.Writer) error { return reports.JUnit(w, r) }),
		dir.Write(rundir.SummaryFile, func(w io.Writer) error { return reports.Markdown(w, r) }),
	)
}
