package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/faultline-sim/faultline/reports/rundir"
	"github.com/faultline-sim/faultline/scenarios/runner"
	"github.com/faultline-sim/faultline/topology/stack"
)

// cleanWithin bounds what is asked of Docker while cleaning.
const cleanWithin = 2 * time.Minute

func newClean(t *terminal) *cobra.Command {
	var out string
	var keep int
	c := &cobra.Command{
		Use:   "clean",
		Short: "Remove the leftovers of runs that are no longer alive",
		Long: "Removes run folders but the newest, and what a killed run left behind: its engines' data " +
			"in memory, and containers,\nnetworks and volumes in Docker, where a daemon answers. A living run is never touched.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if keep < 0 {
				return usage(errors.New("--keep is negative"), "--keep 0 removes all")
			}
			folders, err := t.cleanFolders(out, keep)
			if err != nil {
				return environment(err, "")
			}
			scratch, err := runner.CleanScratch()
			for _, dir := range scratch {
				fmt.Fprintf(t.out, "removed %s\n", dir)
			}
			if err != nil {
				return environment(err, "")
			}
			left, err := t.cleanDocker(c.Context())
			if err != nil {
				return environment(err, environmentHint(err))
			}
			left += len(scratch)
			if _, err := os.Stat(out); errors.Is(err, os.ErrNotExist) && left == 0 {
				fmt.Fprintf(t.out, "nothing to clean, there is no folder %s\n", out)
				return nil
			}
			fmt.Fprintf(t.out, "%d removed\n", folders+left)
			return nil
		},
	}
	outFlag(c, &out)
	c.Flags().IntVar(&keep, "keep", 5, "run folders to keep, newest first")
	return c
}

// cleanFolders removes the folders of runs but the newest, and says how many.
func (t *terminal) cleanFolders(out string, keep int) (int, error) {
	removed, err := rundir.Clean(out, keep)
	for _, name := range removed {
		fmt.Fprintf(t.out, "removed %s\n", name)
	}
	return len(removed), err
}

// cleanDocker removes what runs that no longer live left in Docker, and says how much. One thing
// that cannot be removed keeps no other.
func (t *terminal) cleanDocker(ctx context.Context) (removed int, err error) {
	ctx, cancel := context.WithTimeout(ctx, cleanWithin)
	defer cancel()
	all, err := stack.Leftovers(ctx)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, l := range all {
		if err := l.Remove(ctx); err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintf(t.out, "removed %s\n", leftoverWords(l))
		removed++
	}
	return removed, errors.Join(errs...)
}

// leftoverWords is "container faultline-x-0 of queue, run 20261121T…-outage-3f9a2c".
func leftoverWords(l stack.Leftover) string {
	words := l.Kind + " " + l.Name
	if l.Node != "" {
		words += " of " + l.Node
	}
	if l.Run != "" {
		words += ", run " + l.Run
	}
	return words
}
