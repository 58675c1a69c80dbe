// Command faultline makes the drawing of a message-driven system run on one machine, breaks it on
// purpose and says, with evidence, whether the design keeps its promises.
//
// The commands are thin: they read flags, call load → plan → run → check → report, and print.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/faultline-sim/faultline/topology/diag"
)

func main() {
	os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
}

// Main runs the command line and gives the exit code. Results go to stdout, all else to stderr.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	root := newRoot(&terminal{out: stdout, err: stderr})
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return exitCode(stderr, root.ExecuteContext(ctx))
}

// terminal is where a command prints.
type terminal struct{ out, err io.Writer }

func newRoot(t *terminal) *cobra.Command {
	root := &cobra.Command{
		Use:   "faultline",
		Short: "Run a system from its drawing, break it, and judge whether it keeps its promises",
		Long: `Faultline makes the drawing of a message-driven system run on this machine, puts every
connection behind a Toxiproxy, breaks it on purpose and says, with evidence, whether the
design keeps its promises: isolation, retry, dead-lettering, recovery time, no loss.

Exit codes: 0 all verdicts valid or untested; 1 something invalid; 2 usage, or a mistake in a file;
3 something unknown, nothing invalid; 4 the environment failed.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage(err, fmt.Sprintf("see 'faultline %s --help'", c.Name()))
	})
	root.AddGroup(
		&cobra.Group{ID: "design", Title: "From drawing to topology:"},
		&cobra.Group{ID: "run", Title: "Run and judge:"},
		&cobra.Group{ID: "look", Title: "Look into a run:"},
	)
	for group, commands := range map[string][]*cobra.Command{
		"design": {
			newInit(t), newImport(t), newValidate(t), newLint(t), newWires(t), newBrokers(t), newExplain(t),
			newSchema(t),
		},
		"run":  {newRun(t), newTest(t), newCheck(t)},
		"look": {newHistory(t), newMessages(t), newTrace(t), newClean(t)},
	} {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	root.AddCommand(newVersion(t), newChild(t))
	return root
}

// noCommand refuses a first word that is no command, and says which ones there are.
func noCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	hint := "see 'faultline --help'"
	if near := diag.Nearest(args[0], names); near != "" {
		hint = fmt.Sprintf("did you mean %q? 'faultline --help' lists all commands", near)
	}
	return usage(fmt.Errorf("unknown command %q", args[0]), hint)
}
