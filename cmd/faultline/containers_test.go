//go:build containers

package main

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/faultline-sim/faultline/reports/rundir"
)

// TestScriptsWithContainers uses the command line where a Docker daemon answers.
func TestScriptsWithContainers(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/containers",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "await": await, "containers": containers,
		},
	})
}

// containers COUNT OUT says how many containers the latest run in a folder has, running or not.
func containers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: containers COUNT OUT")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	path, err := rundir.Resolve(ts.MkAbs(args[1]), rundir.Latest)
	ts.Check(err)
	run := "label=faultline.run=" + filepath.Base(path)
	out, err := exec.Command("docker", "ps", "-aq", "--filter", run).Output()
	ts.Check(err)
	if got := len(strings.Fields(string(out))); got != want {
		ts.Fatalf("run %s has %d containers, want %d", filepath.Base(path), got, want)
	}
}
