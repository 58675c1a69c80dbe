package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/faultline-sim/faultline/reports/rundir"
	"github.com/faultline-sim/faultline/scenarios/judge"
)

func newCheck(t *terminal) *cobra.Command {
	var out, format string
	c := &cobra.Command{
		Use:   "check RUN",
		Short: "Judge a saved run again",
		Long: `Judges a saved run again, from its folder alone, on any machine, and writes its reports anew.
RUN is a run's folder, the beginning of its name, or latest. A run that was killed is judged up to
its last sealed second; what it cannot show is unknown.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if !known(format) {
				return badFormat(format, formatNames)
			}
			path, err := rundir.Resolve(out, args[0])
			if err != nil {
				return usage(err, "name a run's folder, the beginning of its name, or latest")
			}
			return t.checkRun(path, format)
		},
	}
	outFlag(c, &out)
	c.Flags().StringVar(&format, "format", "text", formatNames)
	return c
}

func (t *terminal) checkRun(path, format string) error {
	dir, err := rundir.Open(path)
	if err != nil {
		return usage(err, "")
	}
	defer dir.Close()
	report, err := judge.Run(path)
	if err != nil {
		return usage(err, "")
	}
	if err := judge.Write(dir, report); err != nil {
		return environment(fmt.Errorf("write reports of %s: %w", path, err), environmentHint(err))
	}
	if err := t.print(report, format); err != nil {
		return environment(err, "")
	}
	return verdictExit(report.Value)
}
