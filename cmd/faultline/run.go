package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/faultline-sim/faultline/assertions/spec"
	"github.com/faultline-sim/faultline/reports"
	"github.com/faultline-sim/faultline/reports/rundir"
	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/scenarios/judge"
	"github.com/faultline-sim/faultline/scenarios/runner"
)

// runScenario is a whole run: load → plan → run → check → report.
func (t *terminal) runScenario(ctx context.Context, file string, o runOptions) (judged, error) {
	// load: files to a scenario, or all mistakes with positions
	scenario, diags, err := scenarios.Load(file, o.scenario())
	if err != nil || !diags.Empty() {
		return judged{}, t.notLoaded(diags, err)
	}

	// plan: every time and random choice, fixed by the seed
	plan := scenarios.NewPlan(scenario)
	if o.planOnly {
		_, err := io.WriteString(t.out, plan.String())
		return judged{}, err
	}

	// run: the system up, broken, healed, read back; a history
	dir, err := judge.Begin(o.out, plan)
	if err != nil {
		return judged{}, environment(err,
			cmp.Or(environmentHint(err), "name another folder with --out"))
	}
	defer dir.Close()
	outcome, stopped := runner.Run(ctx, plan, o.runner(dir))

	// check: history to verdicts
	facts := judge.NewFacts(outcome, stopped, version(), repeat(file, o))
	report, differences, err := judge.End(dir, facts)
	if err != nil {
		return judged{}, environment(errors.Join(stopped, err), environmentHint(err))
	}

	// report: verdicts to files and terminal
	return judged{report, differences}, endedEarly(stopped, judge.Write(dir, report), report.Value)
}

// judged is a run's report, held against what its scenario expects.
type judged struct {
	reports.Report
	differences []spec.Difference
}

// runOptions are the flags of run and test.
type runOptions struct {
	engines  string
	time     string
	wires    string
	images   string            // a file
	pulled   map[string]string // what it says
	seed     string
	out      string
	set      []string
	planOnly bool
	apiPort  int
	progress func(runner.Progress)
}

func (o *runOptions) flags(c *cobra.Command) {
	f := c.Flags()
	enginesFlag(c, &o.engines)
	f.StringVar(&o.time, "time", scenarios.AutoTime,
		"clock to run by: virtual (jumps from event to event, the same history for the same seed), "+
			"real, or auto (virtual where every node can)")
	f.StringVar(&o.wires, "wires", scenarios.AutoWires,
		"what carries bytes between ends in this process: auto (memory), memory (nothing else) or "+
			"tcp (sockets)")
	f.StringVar(&o.images, "images", "",
		"file that says where containers' images come from, such as a private registry")
	f.StringVar(&o.seed, "seed", "", "seed of all random choices (default: the scenario's)")
	f.StringVar(&o.out, "out", runsFolder, "folder that run folders are kept in")
	setFlag(c, &o.set)
}

// valid checks the flags that cobra cannot.
func (o *runOptions) valid() error {
	if err := validEngines(o.engines); err != nil {
		return err
	}
	if !slices.Contains(scenarios.Times(), o.time) {
		return usage(fmt.Errorf("no time %q", o.time),
			"accepted: "+strings.Join(scenarios.Times(), ", "))
	}
	if !slices.Contains(scenarios.WiresChoices(), o.wires) {
		return usage(fmt.Errorf("no wires %q", o.wires),
			"accepted: "+strings.Join(scenarios.WiresChoices(), ", "))
	}
	if _, err := strconv.ParseUint(o.seed, 10, 64); o.seed != "" && err != nil {
		return usage(fmt.Errorf("seed %q is not a whole number", o.seed), "")
	}
	if o.apiPort < 0 || o.apiPort >= 32768 {
		return usage(fmt.Errorf("API port %d is out of range", o.apiPort),
			"accepted: 1 to 32767, 0 for a free one")
	}
	return nil
}

func (o *runOptions) scenario() scenarios.Options {
	opt := scenarios.Options{Set: o.set, Engines: o.engines, Time: o.clock(), Wires: o.wires,
		Machine: runner.Machine()}
	if seed, err := strconv.ParseUint(o.seed, 10, 64); err == nil {
		opt.Seed = &seed
	}
	return opt
}

// clock is by which time to run. Who asks for the port of Toxiproxy's HTTP API wants to have one.
func (o *runOptions) clock() string {
	if o.time == scenarios.AutoTime && o.apiPort != 0 {
		return scenarios.RealTime
	}
	return o.time
}

func (o *runOptions) runner(dir *rundir.Dir) runner.Options {
	return runner.Options{Dir: dir.History(), APIPort: o.apiPort, Images: o.pulled,
		TCP: o.wires == scenarios.TCPWires, Progress: o.progress}
}

func newRun(t *terminal) *cobra.Command {
	var o runOptions
	var format string
	var quiet bool
	c := &cobra.Command{
		Use:   "run SCENARIO…",
		Short: "Run scenarios and judge them",
		Long: `Brings the scenario's system up, offers its load, breaks and heals what its timeline says, reads
everything back and judges it. Ends with a table of verdicts, the counterexamples, the command that
repeats the run, and the run's folder.

Where every node can, that is done in virtual time: the clock jumps from one event to the next, a run
takes a second or two, and the same seed gives the same history. --time real goes by the machine's
clock. Then Toxiproxy's HTTP API is on the printed address: toxiproxy-cli works against it, and what is
changed there stands in the history.`,
		Example: "  faultline run scenarios/library/iot-platform/partner-cloud-outage.yaml\n" +
			"  faultline run outage.yaml --plan\n  faultline run outage.yaml --seed 7 --set " +
			"worker1.replicas=1",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.valid(); err != nil {
				return err
			}
			if err := t.readImages(&o); err != nil {
				return err
			}
			files, err := scenarioFiles(args)
			if err != nil {
				return err
			}
			return t.runAll(c.Context(), files, o, quiet, format)
		},
	}
	o.flags(c)
	c.Flags().BoolVar(&o.planOnly, "plan", false, "print the plan and run nothing")
	c.Flags().IntVar(&o.apiPort, "api-port", 0,
		"port of Toxiproxy's HTTP API on 127.0.0.1 (default: a free one)")
	c.Flags().BoolVar(&quiet, "quiet", false, "no progress")
	c.Flags().StringVar(&format, "format", "text", "text, json, junit or markdown")
	return c
}

// runAll runs scenarios one after the other; the worst verdict is the command's.
func (t *terminal) runAll(
	ctx context.Context, files []string, o runOptions, quiet bool, format string,
) error {
	if !known(format) {
		return badFormat(format, formatNames)
	}
	var all []reports.Report
	for _, file := range files {
		if !quiet && !o.planOnly {
			p := newProgress(t.err)
			o.progress = p.show
		}
		report, err := t.runScenario(ctx, file, o)
		var early *runner.StoppedError
		if err != nil && !errors.As(err, &early) {
			return err
		}
		if o.planOnly {
			continue
		}
		if err := t.print(report.Report, format); err != nil {
			return environment(err, "")
		}
		if err != nil {
			return err
		}
		all = append(all, report.Report)
	}
	if o.planOnly {
		return nil
	}
	return verdictExit(worst(all))
}

// repeat is the command that runs the same again.
func repeat(file string, o runOptions) string {
	words := []string{"faultline", "run", file}
	if o.seed != "" {
		words = append(words, "--seed", o.seed)
	}
	if o.engines != "auto" {
		words = append(words, "--engines", o.engines)
	}
	if o.time != scenarios.AutoTime {
		words = append(words, "--time", o.time)
	}
	if o.wires != scenarios.AutoWires {
		words = append(words, "--wires", o.wires)
	}
	if o.images != "" {
		words = append(words, "--images", o.images)
	}
	for _, s := range o.set {
		words = append(words, "--set", s)
	}
	for i, w := range words {
		if strings.ContainsAny(w, " \t\"'$&|;<>()*?[]#~`\\") {
			words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

// isTerminal says that w is a terminal, and how wide.
func isTerminal(w io.Writer) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	return width, err == nil
}
