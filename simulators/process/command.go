package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/faultline-sim/faultline/topology"
)

// inherited are the variables that a program gets of the user's own environment unasked.
var inherited = []string{"PATH", "HOME", "TMPDIR", "LANG"}

// outputWithin is how long output is waited for that others hold open after the program's end.
const outputWithin = time.Second

// command is a program of this machine, in a process group of its own that ends with it.
type command struct {
	own    *topology.Own
	output *output
	over   chan struct{}
	err    error // read after over is closed

	mu     sync.Mutex
	group  int  // its process group's id, 0 before it has one
	gone   bool // the group must not be signalled any more
	frozen bool
}

func newCommand(own *topology.Own, out *output) *command {
	return &command{own: own, output: out, over: make(chan struct{})}
}

// begin starts the process on a thread of its own, which stays until the process has ended: where
// the system can, a process dies with the thread that it was started on.
func (c *command) begin(_ context.Context, near surroundings) error {
	words, err := near.fillAll(c.own.Command)
	if err != nil {
		return err
	}
	cmd := exec.Command(words[0], words[1:]...)
	if cmd.Dir, err = filepath.Abs(c.own.Dir); err != nil {
		return fmt.Errorf("find folder %q: %w", c.own.Dir, err)
	}
	cmd.Env = near.list()
	cmd.Stdout, cmd.Stderr = c.output, c.output
	cmd.SysProcAttr = ownGroup()
	cmd.WaitDelay = outputWithin
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		c.live(cmd, started)
	}()
	return <-started
}

// live is the process from its start to its end.
func (c *command) live(cmd *exec.Cmd, started chan<- error) {
	if err := cmd.Start(); err != nil {
		err = errors.Join(fmt.Errorf("run %q: %w", cmd.Args[0], err), c.output.close())
		c.err = err
		close(c.over)
		started <- err
		return
	}
	c.mu.Lock()
	c.group = cmd.Process.Pid
	c.mu.Unlock()
	c.output.note("started %s as process %d", cmd.Args[0], cmd.Process.Pid)
	guard, err := newGuard(cmd.Process.Pid)
	if err != nil {
		c.output.note("%v; what it starts may outlive a run that is killed", err)
	}
	started <- nil
	if awaitExit(cmd.Process.Pid) {
		c.endGroup()
	}
	_ = cmd.Wait() // its state tells how it ended
	c.endGroup()
	status := cmd.ProcessState.String()
	c.output.note("ended: %s", status)
	c.err = errors.Join(ended(status, c.output.tail()), guard.wait(), c.output.close())
	close(c.over)
}

// ended is a program's end with what it had to say last.
func ended(status, tail string) error {
	if tail == "" {
		return fmt.Errorf("it ended: %s, and printed nothing", status)
	}
	return fmt.Errorf("it ended: %s, its last lines:\n%s", status, tail)
}

// endGroup kills what the program leaves behind, once. Where it can be, it is done before the
// program is waited for: up to then the group's id means nobody else.
func (c *command) endGroup() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return
	}
	c.gone = true
	_ = syscall.Kill(-c.group, syscall.SIGKILL) // most often nobody is left
}

// signal signals the whole group while it is there.
func (c *command) signal(signals ...syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone || c.group == 0 {
		return
	}
	for _, s := range signals {
		_ = syscall.Kill(-c.group, s) // it may have gone this very moment
	}
}

func (c *command) ended() <-chan struct{}  { return c.over }
func (c *command) said() <-chan struct{}   { return c.output.said }
func (c *command) end() error              { return c.err }
func (c *command) kill()                   { c.signal(syscall.SIGKILL) }
func (c *command) discard() error          { return c.output.close() }
func (c *command) patience() time.Duration { return c.own.StopWithin }

// stop asks a frozen program too, which can hear only when it goes on.
func (c *command) stop() { c.signal(syscall.SIGTERM, syscall.SIGCONT) }

func (c *command) freeze() (thaw func(), ok bool) {
	c.mu.Lock()
	if c.frozen || c.gone {
		c.mu.Unlock()
		return nil, false
	}
	c.frozen = true
	c.mu.Unlock()
	c.signal(syscall.SIGSTOP)
	return once(func() {
		c.signal(syscall.SIGCONT)
		c.mu.Lock()
		c.frozen = false
		c.mu.Unlock()
	}), true
}

// list is the environment as processes get it: what is inherited, the addresses of neighbours, and
// what the node declares, the later over the earlier.
func (s *surroundings) list() []string {
	var all []string
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			all = append(all, name+"="+value)
		}
	}
	for name, value := range s.env {
		all = append(all, name+"="+value)
	}
	slices.Sort(all[len(all)-len(s.env):])
	return all
}
