package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/reports"
	"github.com/faultline-sim/faultline/reports/rundir"
)

// runsFolder is where runs are kept unless --out says otherwise.
const runsFolder = "runs"

func outFlag(c *cobra.Command, out *string) {
	c.Flags().StringVar(out, "out", runsFolder, "folder that run folders are kept in")
}

// openHistory opens the history of a run named by path, unique beginning of its name, or "latest".
func openHistory(out, arg string) (*history.Reader, string, error) {
	path, err := rundir.Resolve(out, arg)
	if err != nil {
		return nil, "", usage(err, "name a run's folder, the beginning of its name, or latest")
	}
	dir := rundir.HistoryIn(path)
	r, err := history.Open(dir)
	if err != nil {
		return nil, "", usage(fmt.Errorf("open history of %s: %w", path, err), "")
	}
	return r, path, nil
}

// namesIn are the short names of the nodes that a history tells of.
func namesIn(r *history.Reader) (reports.Names, error) {
	nodes := map[string]bool{}
	for e := range r.Events {
		nodes[e.Node] = true
		from, to, _ := strings.Cut(e.Wire, " -> ")
		nodes[from], nodes[to] = true, true
	}
	if err := r.Err(); err != nil {
		return reports.Names{}, environment(err, "")
	}
	delete(nodes, "")
	return reports.ShortNames(slices.Collect(maps.Keys(nodes))), nil
}

func newHistory(t *terminal) *cobra.Command {
	var out, format string
	c := &cobra.Command{
		Use:   "history RUN",
		Short: "Print a run's events",
		Long: "Prints every event of a run in order of time. RUN is a run's folder, the " +
			"beginning of its name, or latest.",
		Example: "  faultline history latest --format csv > events.csv",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, _, err := openHistory(out, args[0])
			if err != nil {
				return err
			}
			switch format {
			case "text":
				for e := range r.Events {
					if _, err := fmt.Fprintln(t.out, reports.EventLine(*e)); err != nil {
						return environment(err, "")
					}
				}
				return r.Err()
			case "jsonl":
				return history.Lines(t.out, r)
			case "csv":
				return history.CSV(t.out, r)
			}
			return badFormat(format, "text, jsonl, csv")
		},
	}
	outFlag(c, &out)
	c.Flags().StringVar(&format, "format", "text", "text, jsonl or csv")
	return c
}

func badFormat(format, accepted string) error {
	return usage(fmt.Errorf("no format %q", format), "accepted: "+accepted)
}

func newMessages(t *terminal) *cobra.Command {
	var out, flow, format string
	var limit int
	c := &cobra.Command{
		Use:   "messages RUN",
		Short: "List a run's messages and what became of them",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, _, err := openHistory(out, args[0])
			if err != nil {
				return err
			}
			all, err := history.Messages(r)
			if err != nil {
				return environment(err, "")
			}
			names, err := namesIn(r)
			if err != nil {
				return err
			}
			width, _ := isTerminal(t.out)
			opt := reports.MessagesOptions{Flow: flow, Limit: limit, Format: format, Width: width,
				Names: names}
			return reports.Messages(t.out, all, opt)
		},
	}
	outFlag(c, &out)
	c.Flags().StringVar(&flow, "flow", "", "only messages of this flow")
	c.Flags().IntVar(&limit, "limit", 0, "at most so many lines (default: all)")
	c.Flags().StringVar(&format, "format", "text", "text or jsonl")
	return c
}

func newTrace(t *terminal) *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "trace RUN ID",
		Short: "Follow one message hop by hop",
		Long: "Prints the path of a message, hop by hop with times, with the messages born of " +
			"it. ID is a message's id\n(telemetry-183), or a trace id or the beginning of one.",
		Example: "  faultline trace latest telemetry-183",
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			r, _, err := openHistory(out, args[0])
			if err != nil {
				return err
			}
			found, err := history.Trace(r, args[1])
			if err != nil {
				return usage(err, "'faultline messages' lists the ids of a run")
			}
			names, err := namesIn(r)
			if err != nil {
				return err
			}
			width, _ := isTerminal(t.out)
			return reports.Trace(t.out, found, reports.TraceOptions{Width: width, Names: names})
		},
	}
	outFlag(c, &out)
	return c
}
