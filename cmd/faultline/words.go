package main

import (
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/faultline-sim/faultline/assertions/spec"
	"github.com/faultline-sim/faultline/reports"
	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/diag"
)

func newExplain(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "explain [WORD]",
		Short: "Tell what a fault, policy, assertion or field means",
		Long:  "Tells a word's definition, units and limits. Without a word, lists them all.",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				fmt.Fprintln(t.out, strings.Join(explained(), "\n"))
				return nil
			}
			var texts []string
			inTopology, _ := topology.Explain(args[0])
			inScenario, _ := scenarios.Explain(args[0])
			asAssertion, _ := spec.Explain(args[0])
			for _, text := range []string{inTopology, inScenario, asAssertion} {
				if text != "" {
					texts = append(texts, strings.TrimSpace(text))
				}
			}
			if len(texts) == 0 {
				return usage(fmt.Errorf("no word %q", args[0]), nearWord(args[0]))
			}
			fmt.Fprintln(t.out, strings.Join(texts, "\n\n"))
			return nil
		},
	}
}

// nearWord is what to do about a word that has no explanation.
func nearWord(word string) string {
	hint := "'faultline explain' lists all words"
	if near := diag.Nearest(word, explained()); near != "" {
		hint += fmt.Sprintf("; did you mean %q", near)
	}
	return hint
}

// explained are all words that have an explanation, sorted.
func explained() []string {
	words := slices.Concat(topology.Words(), scenarios.Words(), spec.Words())
	slices.Sort(words)
	return slices.Compact(words)
}

func newSchema(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:       "schema topology|scenario|result",
		Short:     "Print a JSON Schema, for editors and programs",
		Args:      cobra.ExactArgs(1),
		ValidArgs: []string{"topology", "scenario", "result"},
		RunE: func(_ *cobra.Command, args []string) error {
			var schema []byte
			var err error
			switch args[0] {
			case "topology":
				schema = topology.Schema()
			case "scenario":
				schema, err = scenarios.Schema()
			case "result":
				schema, err = reports.Schema()
			default:
				return usage(fmt.Errorf("no schema of %q", args[0]),
					"accepted: topology, scenario, result")
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(t.out, "%s\n", strings.TrimSpace(string(schema)))
			return err
		},
	}
}

func newVersion(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program and of what it is built with",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(t.out, "faultline %s\n", version())
			if info, ok := debug.ReadBuildInfo(); ok && err == nil {
				_, err = fmt.Fprintf(t.out, "built with %s\n", info.GoVersion)
			}
			return err
		},
	}
}

// version is the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && info.Main.Version == "(devel)" {
			return s.Value
		}
	}
	return info.Main.Version
}
