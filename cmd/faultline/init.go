package main

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// start is what a new user begins with: a drawing, its topology and a first scenario.
//
//go:embed start
var start embed.FS

func newInit(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a first drawing, topology and scenario",
		Long: `Writes a small system that runs as it is: a drawing, its topology and a scenario in which its
store goes away. DIR is made when it is missing; files that exist are never overwritten.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return t.writeStart(dir)
		},
	}
}

func (t *terminal) writeStart(dir string) error {
	entries, err := fs.ReadDir(start, "start")
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if _, err := os.Lstat(path); err == nil {
			return usage(fmt.Errorf("%s exists already", path),
				"name a folder without it: faultline init DIR")
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return environment(err, "name another folder: faultline init DIR")
	}
	for _, e := range entries {
		content, err := fs.ReadFile(start, "start/"+e.Name())
		if err != nil {
			return err
		}
		if err := t.writeNew(filepath.Join(dir, e.Name()), content); err != nil {
			return err
		}
	}
	fmt.Fprintf(t.err, "faultline: next: faultline run %s\n",
		filepath.Join(dir, "archive-outage.yaml"))
	return nil
}
