//go:build containers

package container_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine/container"
	"github.com/faultline-sim/faultline/topology/stack"
)

// orphan is set in a process that brings a cluster up and is then killed.
const orphan = "FAULTLINE_TEST_ORPHAN"

func TestMain(m *testing.M) {
	if run := os.Getenv(orphan); run != "" {
		os.Exit(becomeOrphan(run))
	}
	os.Exit(m.Run())
}

// becomeOrphan makes a container, network and volumes, says so and waits for its end.
func becomeOrphan(run string) int {
	n := node("kafka")
	n.Brokers = 3
	_, err := stack.Up(context.Background(), stack.Options{
		Topology: &topology.Topology{Nodes: []*topology.Node{n}}, Engines: "containers", Run: run,
		Progress: func(p stack.Progress) {
			if p.State == "starting" {
				os.Stdout.WriteString("up\n")
			}
		},
	})
	if err != nil {
		os.Stderr.WriteString(err.Error())
	}
	return 1
}

// leftOf are the leftovers of a run.
func leftOf(t *testing.T, run string) []container.Leftover {
	t.Helper()
	all, err := container.Leftovers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(l container.Leftover) bool { return l.Run != run })
}

// bringUp starts a process that brings three containers up for a run, and returns when they run.
func bringUp(t *testing.T, run string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self)
	c.Env = append(os.Environ(), orphan+"="+run, "TMPDIR="+t.TempDir())
	c.Env = append(c.Env, env...)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 3)); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for running(t, run) < 3 {
		if ctx.Err() != nil {
			t.Fatal("the orphan makes nothing")
		}
	}
	return c
}

// running is how many containers of a run do.
func running(t *testing.T, run string) int {
	t.Helper()
	return lines(docker(t, "ps", "--quiet", "--filter", "label=faultline.run="+run))
}

func end(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
}

// The library's own reaper may be asked for. It takes containers and networks away by itself, some
// time after the process that made them was killed, and those of nobody else.
func TestTheReaperIfItIsAskedFor(t *testing.T) {
	living := up(t, node("redis"), nil)
	run := t.Name() + "-orphan"
	c := bringUp(t, run, "TESTCONTAINERS_RYUK_DISABLED=false", "RYUK_RECONNECTION_TIMEOUT=2s")
	end(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		left := leftOf(t, run)
		if len(left) == 0 {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("a minute later there is still %v", left)
		}
	}
	if err := living.user(t).put(living.ctx, 1); err != nil {
		t.Errorf("the living one does not answer: %v", err)
	}
}

func TestLeftovers(t *testing.T) {
	living := up(t, node("redis"), nil)
	run := t.Name() + "-orphan"
	c := bringUp(t, run)
	if left := leftOf(t, run); len(left) > 0 {
		t.Errorf("leftovers/owner lives/got %v", left)
	}
	end(t, c)
	kinds := map[string]int{}
	for _, l := range leftOf(t, run) {
		kinds[l.Kind]++
		if l.Node != "the.kafka" || l.PID != c.Process.Pid {
			t.Errorf("leftovers/owner killed/got %+v", l)
		}
		if err := l.Remove(t.Context()); err != nil {
			t.Error(err)
		}
		if err := l.Remove(t.Context()); err != nil {
			t.Errorf("leftovers/removed before/%v", err)
		}
	}
	if kinds["container"] != 3 || kinds["network"] != 1 || kinds["volume"] < 3 {
		t.Errorf("leftovers/owner killed/got %v", kinds)
	}
	if left := leftOf(t, run); len(left) > 0 {
		t.Errorf("leftovers/removed/got %v", left)
	}
	if err := living.user(t).put(living.ctx, 1); err != nil {
		t.Errorf("leftovers/of others removed/the living one does not answer: %v", err)
	}
}
