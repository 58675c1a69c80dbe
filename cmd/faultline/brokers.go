package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/faultline-sim/faultline/reports"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/claims"
	"github.com/faultline-sim/faultline/topology/features"
)

func newBrokers(t *terminal) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "brokers [PROTOCOL]",
		Short: "Tell what each broker can promise, how a channel stands on it, and what runs it",
		Long: `Prints what each broker's protocol can promise, as a table: validate and lint hold a drawing
against it, and the conformance suite holds every engine to it. With a protocol, all about that one:
how a channel stands on it, how it dead-letters, what to do for what it cannot, and its engines.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if format != "text" && format != "markdown" {
				return usage(fmt.Errorf("no format %q", format), "accepted: text, markdown")
			}
			if len(args) == 0 {
				return reports.Brokers(t.out, claims.All(), format == "markdown")
			}
			b, ok := claims.Of(args[0])
			if !ok {
				return usage(fmt.Errorf("%q is no broker's protocol", args[0]),
					"accepted: "+strings.Join(claims.Protocols(), ", "))
			}
			if err := reports.Broker(t.out, b); err != nil {
				return err
			}
			fmt.Fprintln(t.out)
			for _, line := range enginesOf(b.Protocol) {
				fmt.Fprintln(t.out, line)
			}
			return nil
		},
	}
	c.Flags().StringVar(&format, "format", "text", "how the table is written: text or markdown")
	return c
}

// enginesOf are the engines of a protocol, a line each.
func enginesOf(protocol string) (lines []string) {
	for _, set := range []features.Set{features.Embedded, features.Process, features.Container} {
		f, ok := features.Of(set, &topology.Node{Protocol: protocol, Brokers: 1})
		if !ok {
			continue
		}
		name := f.Name
		if f.Image != "" {
			name += ", image " + f.Image
		}
		lines = append(lines, fmt.Sprintf("engine %s: %s: %s", set, name, f.Worth))
	}
	return lines
}
