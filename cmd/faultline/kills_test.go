//go:build containers

package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	// kills is how many runs are killed; the variable KILLS says another number.
	kills = 10
	// longestLife is when the last of them is killed: starting takes some seconds, the run ten.
	longestLife = 12 * time.Second
	// settled is how long the daemon may take to end what it had begun for a process that is dead.
	settled = 30 * time.Second
)

const killedSystem = `topology: killed
nodes:
  clients: {kind: fleet, count: 5}
  api: {kind: service}
  keeper: {kind: service}
  queue: {kind: broker, protocol: mqtt}
  cache: {kind: store, protocol: redis}
  books: {kind: store, protocol: postgres}
flows:
  orders: {path: clients -> api -> queue/orders -> keeper -> cache}
  entries: {path: clients -> api -> books}
`

const killedScenario = `scenario: killed
topology: killed.yaml
load: {orders: 20/s, entries: 20/s}
steady: 3s
timeline:
  - {at: 0s, for: 2s, wire: api -> books, fault: cut}
recover: 3s
drain: 5s
`

// TestKillsLeaveNothing kills runs on containers at random moments. Clean must find all that each
// leaves, and touch nothing of the run that lives beside them.
func TestKillsLeaveNothing(t *testing.T) {
	n := kills
	if s := os.Getenv("KILLS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	k := newKiller(t)
	living := k.start(strings.ReplaceAll(killedScenario, "steady: 3s", "steady: 1h"))
	var before []string
	k.await(living, "the living run has its containers", func(left []string) bool {
		same := slices.Equal(before, left)
		before = left
		return same && len(left) >= 3
	})
	random := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range n {
		life := time.Duration(random.Int64N(int64(longestLife)))
		victim := k.start(killedScenario)
		k.killAfter(victim, life)
		k.await(victim, "clean finds all that is left", func(left []string) bool {
			k.clean()
			return len(k.owned(victim)) == 0
		})
		t.Logf("kill %d after %v: nothing left", i+1, life.Round(time.Millisecond))
	}
	if diff := cmp.Diff(before, k.owned(living)); diff != "" {
		t.Errorf("what the living run has (-before +now):\n%s", diff)
	}
	k.killAfter(living, 0)
	k.await(living, "clean finds the last one's", func([]string) bool {
		k.clean()
		return len(k.owned(living)) == 0
	})
	runs, err := filepath.Glob(filepath.Join(k.dir, "runs", "*", "faultline-*"))
	if err != nil || len(runs) > 0 {
		t.Errorf("folders of engines left: %v, %v", runs, err)
	}
}

// killer starts runs and ends them without order.
type killer struct {
	*testing.T
	dir, program string
}

func newKiller(t *testing.T) killer {
	k := killer{t, t.TempDir(), ""}
	k.program = filepath.Join(k.dir, "faultline")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", k.program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(k.dir, "killed.yaml"), []byte(killedSystem), 0o600); err != nil {
		t.Fatal(err)
	}
	return k
}

// start begins a run in a process group of its own.
func (k killer) start(scenario string) *exec.Cmd {
	k.Helper()
	file := filepath.Join(k.dir, "killed-"+strconv.Itoa(rand.Int())+".yaml")
	if err := os.WriteFile(file, []byte(scenario), 0o600); err != nil {
		k.Fatal(err)
	}
	c := exec.Command(k.program, "run", file, "--engines", "containers", "--quiet",
		"--out", filepath.Join(k.dir, "runs"))
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		k.Fatal(err)
	}
	k.Cleanup(func() {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // it is gone already where the test went well
		if k.Failed() {
			k.Logf("run %d printed:\n%s", c.Process.Pid, out.String())
		}
	})
	return c
}

// killAfter ends a run, with all it started, at a moment of its life, and waits for its death.
func (k killer) killAfter(c *exec.Cmd, life time.Duration) {
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case <-time.After(life):
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // it may just have ended by itself
		<-ended
	case <-ended:
	}
}

// await asks until a condition over what a run owns holds, and once more: the daemon may still be
// at work for one that is dead.
func (k killer) await(c *exec.Cmd, what string, holds func(left []string) bool) {
	k.Helper()
	ctx, cancel := context.WithTimeout(k.Context(), 2*settled)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for held := 0; held < 2; {
		left := k.owned(c)
		if holds(left) {
			held++
		} else {
			held = 0
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			k.Fatalf("%s: not within %v, there is %v", what, 2*settled, left)
		}
	}
}

// clean runs faultline clean.
func (k killer) clean() {
	k.Helper()
	c := exec.CommandContext(k.Context(), k.program, "clean", "--keep", "0", "--out",
		filepath.Join(k.dir, "runs"))
	if out, err := c.CombinedOutput(); err != nil {
		k.Fatalf("clean: %v\n%s", err, out)
	}
}

// owned is what the daemon has of a run's process: containers, then networks, then volumes.
func (k killer) owned(c *exec.Cmd) (all []string) {
	k.Helper()
	filter := "label=faultline.pid=" + strconv.Itoa(c.Process.Pid)
	for _, list := range [][]string{
		{"ps", "--all", "--quiet"}, {"network", "ls", "--quiet"}, {"volume", "ls", "--quiet"},
	} {
		out, err := exec.CommandContext(k.Context(), "docker",
			append(list, "--filter", filter)...).Output()
		if err != nil {
			k.Fatalf("docker %v: %v", list, err)
		}
		all = append(all, strings.Fields(string(out))...)
	}
	return all
}
