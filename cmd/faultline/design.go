package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/claims"
	"github.com/faultline-sim/faultline/topology/d2"
	"github.com/faultline-sim/faultline/topology/diag"
)

// readFailed is a file that cannot be read: the user named it, so it is a mistake of usage.
func readFailed(err error) error {
	hint := ""
	if errors.Is(err, fs.ErrNotExist) {
		hint = "check the path; 'faultline init' makes a first topology"
	}
	return usage(err, hint)
}

// mistakes prints what is wrong with files and gives the error that ends the command.
func (t *terminal) mistakes(diags diag.List) error {
	all := diags.Sorted()
	for _, d := range all {
		fmt.Fprintln(t.err, d)
	}
	noun := "mistakes"
	if len(all) == 1 {
		noun = "mistake"
	}
	return usage(fmt.Errorf("%d %s in the files above", len(all), noun), "")
}

// loadTopology reads a topology with its drawing; drift between the two is a mistake.
func (t *terminal) loadTopology(
	file string, set []string,
) (*topology.Topology, *d2.Drawing, error) {
	var drawing *d2.Drawing
	top, diags, err := loadWith(file, set, &drawing)
	if err != nil {
		return nil, nil, readFailed(err)
	}
	if !diags.Empty() {
		return nil, nil, t.mistakes(diags)
	}
	return top, drawing, nil
}

func loadWith(
	file string, set []string, drawing **d2.Drawing,
) (*topology.Topology, diag.List, error) {
	return topology.Load(file, topology.Options{Set: set, Draw: d2.Draw(d2.Options{}, drawing)})
}

func newImport(t *terminal) *cobra.Command {
	var board, out string
	var block int
	c := &cobra.Command{
		Use:   "import d2 FILE",
		Short: "Write a topology's first draft from a drawing",
		Long: `Reads a D2 drawing, or a Markdown file with a fenced d2 block, and writes the skeleton of a
topology. What the drawing cannot tell stands in it as a marked choice ("# choose: …").`,
		Example: "  faultline import d2 system.d2 --out system.yaml\n" +
			"  faultline import d2 README.md --block 2",
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			if args[0] != "d2" {
				return usage(fmt.Errorf("no importer for %q", args[0]), "accepted: d2")
			}
			return t.importD2(args[1], out, d2.Options{Board: board, Block: block})
		},
	}
	c.Flags().StringVar(&board, "board", "",
		"layer, scenario or step to read, such as layers.night")
	c.Flags().IntVar(&block, "block", 0, "which fenced d2 block of a Markdown file, counted from 1")
	c.Flags().StringVar(&out, "out", "",
		"file to write, which must not exist (default: standard output)")
	return c
}

func (t *terminal) importD2(file, out string, opt d2.Options) error {
	src, err := os.ReadFile(file)
	if err != nil {
		return readFailed(fmt.Errorf("read drawing: %w", err))
	}
	drawing, diags := d2.Read(file, src, opt)
	if drawing == nil {
		return t.mistakes(diags)
	}
	for _, note := range drawing.Notes.Sorted() {
		fmt.Fprintf(t.err, "faultline: note: %s\n", note)
	}
	if out != "" {
		if relative, err := filepath.Rel(filepath.Dir(out), file); err == nil {
			drawing.File = filepath.ToSlash(relative)
		}
		return t.writeNew(out, d2.Skeleton(drawing))
	}
	_, err = t.out.Write(d2.Skeleton(drawing))
	return err
}

// writeNew writes a file that does not exist yet.
func (t *terminal) writeNew(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return usage(fmt.Errorf("%s exists already", path), "name another file, or remove it first")
	}
	if err != nil {
		return environment(err, "")
	}
	if _, err := f.Write(content); err != nil {
		return environment(errors.Join(fmt.Errorf("write %q: %w", path, err), f.Close()), "")
	}
	if err := f.Close(); err != nil {
		return environment(fmt.Errorf("write %q: %w", path, err), "")
	}
	fmt.Fprintf(t.err, "faultline: wrote %s\n", path)
	return nil
}

func newLint(t *terminal) *cobra.Command {
	var set []string
	c := &cobra.Command{
		Use:   "lint TOPOLOGY",
		Short: "Find design faults without running anything",
		Long: `Finds what a design gets wrong before any run: no dead-letter, a caller that gives up before its
callee's retries end, retry products over budget, order lost by parallel consumers …
Exits with 1 when a finding is a fault.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			top, _, err := t.loadTopology(args[0], set)
			if err != nil {
				return err
			}
			faults := 0
			for _, f := range top.Lint() {
				fmt.Fprintln(t.out, f)
				if f.Severity == topology.SeverityFault {
					faults++
				}
			}
			if faults > 0 {
				return &exit{Code: exitInvalid}
			}
			return nil
		},
	}
	setFlag(c, &set)
	return c
}

func setFlag(c *cobra.Command, set *[]string) {
	c.Flags().StringArrayVar(set, "set", nil,
		"override one field, such as worker1.replicas=3 (repeatable)")
}

func newWires(t *terminal) *cobra.Command {
	var set []string
	var engines string
	c := &cobra.Command{
		Use:   "wires TOPOLOGY",
		Short: "List the wires, channels and engines, and what carries each drawn link",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := validEngines(engines); err != nil {
				return err
			}
			top, drawing, err := t.loadTopology(args[0], set)
			if err != nil {
				return err
			}
			for _, w := range top.Wires() {
				fmt.Fprintf(t.out, "wire     %s -> %s  for %s\n",
					top.Short(w.From), top.Short(w.To),
					strings.Join(flowsOver(top, w), ", "))
			}
			for _, ch := range top.Channels {
				fmt.Fprintf(t.out, "channel  %s  read by %s%s\n", top.ShortRef(ch.Ref),
					readers(top, ch.Ref), stands(top, ch))
			}
			for _, line := range engineLines(top, engines) {
				fmt.Fprintln(t.out, line)
			}
			if drawing == nil {
				return nil
			}
			report := d2.Drift(top, drawing)
			for _, l := range report.Links {
				for _, by := range l.By {
					fmt.Fprintf(t.out, "link     %s  carried by %s\n", l.Link, by)
				}
			}
			if !report.Diags.Empty() {
				return t.mistakes(report.Diags)
			}
			fmt.Fprintln(t.out, report)
			return nil
		},
	}
	setFlag(c, &set)
	enginesFlag(c, &engines)
	return c
}

// flowsOver are the flows whose messages go over a wire.
func flowsOver(t *topology.Topology, w topology.Wire) []string {
	var names []string
	for _, f := range t.Flows {
		for _, over := range t.FlowWires(f.Name) {
			if over == w {
				names = append(names, f.Name)
			}
		}
	}
	if len(names) == 0 {
		return []string{"no flow (logins)"}
	}
	return names
}

// stands is how a channel is made on its broker, "" for a mailbox.
func stands(t *topology.Topology, c *topology.Channel) string {
	n := t.Node(c.Node())
	b, ok := claims.Of(n.Protocol)
	if !ok || n.Kind != topology.Broker {
		return ""
	}
	words := "; " + n.Protocol + ": " + b.Map
	if b.Parts {
		words += fmt.Sprintf(", %d parallel", c.Parallel)
	}
	if c.DeadLetter != nil && c.DeadLetter.Native {
		words += "; dead-lettered by " + b.MapDead
	}
	return words
}

func readers(t *topology.Topology, ref string) string {
	var names []string
	for _, n := range t.Consumers(ref) {
		names = append(names, t.Short(n.Name))
	}
	if len(names) == 0 {
		return "nobody"
	}
	return strings.Join(names, ", ")
}
