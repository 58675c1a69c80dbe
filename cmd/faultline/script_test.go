package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/reports/rundir"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"faultline": main})
}

// TestScripts uses the command line as its users do.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "occupy": occupy, "shatter": shatter, "await": await,
		},
	})
}

// exits CODE COMMAND… runs a command that must end with an exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		got = failed.ExitCode()
	case err != nil:
		ts.Fatalf("run %v: %v", args[1:], err)
	}
	if got != want {
		ts.Fatalf("%v ended with exit code %d, want %d", args[1:], got, want)
	}
}

// occupy NAME listens on a port of this machine and puts its number in an environment variable.
func occupy(ts *testscript.TestScript, _ bool, args []string) {
	for port := 21_000; port < 32_768; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue // somebody has it
		}
		ts.Defer(func() { l.Close() })
		ts.Setenv(args[0], strconv.Itoa(port))
		return
	}
	ts.Fatalf("no port is free")
}

// shatter OUT turns the compacted history of the latest run in a folder into segments, as a run that
// was killed leaves it.
func shatter(ts *testscript.TestScript, _ bool, args []string) {
	path, err := rundir.Resolve(ts.MkAbs(args[0]), rundir.Latest)
	ts.Check(err)
	dir := rundir.HistoryIn(path)
	whole, err := history.Open(dir)
	ts.Check(err)
	pieces := filepath.Join(path, "pieces")
	ts.Check(history.Prepare(pieces))
	cut := cutter{ts: ts, dir: pieces}
	for e := range whole.Events {
		cut.write(e)
	}
	ts.Check(whole.Err())
	ts.Check(cut.segment.Seal())
	ts.Check(os.RemoveAll(dir))
	ts.Check(os.Rename(pieces, dir))
	ts.Logf("%d events in %d segments", cut.events, cut.segments)
}

// cutter writes events into segments of a thousand.
type cutter struct {
	ts               *testscript.TestScript
	dir              string
	events, segments int
	segment          *history.Writer
}

func (c *cutter) write(e *history.Event) {
	if c.events%1000 == 0 {
		c.next()
	}
	c.ts.Check(c.segment.Write(e))
	c.events++
}

func (c *cutter) next() {
	if c.segment != nil {
		c.ts.Check(c.segment.Seal())
	}
	c.segments++
	w, err := history.Create(history.SegmentPath(c.dir, c.segments))
	c.ts.Check(err)
	c.segment = w
}

// await PATTERN waits until a file is there.
func await(ts *testscript.TestScript, _ bool, args []string) {
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		if found, err := filepath.Glob(ts.MkAbs(args[0])); err == nil && len(found) > 0 {
			return
		}
		select {
		case <-look.C:
		case <-late.C:
			ts.Fatalf("%s did not come", args[0])
		}
	}
}
