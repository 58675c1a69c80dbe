package process

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// child is a running program and all that it has started.
//
// They share a process group whose leader is a watcher: a shell that does nothing but wait for the
// end of a pipe that this process holds. However this process ends, the pipe ends, and the watcher
// kills the group. A signal that the kernel would send at our death (Linux, PR_SET_PDEATHSIG) is
// not as good: it reaches the program alone, and is sent when the thread ends that started it. The
// watcher is waited for last, so the group's number cannot be somebody else's meanwhile.
//
// A descendant that leaves the group is known by a mark in its environment, on Linux. Killing finds
// it there; the watcher does not: it relies on such a program to end when its parent does, as all
// of RabbitMQ's do. Who kills the watcher together with us leaves the program running.
type child struct {
	program  *exec.Cmd
	watcher  *exec.Cmd
	lifeline *os.File // the watcher reads its other end
	group    int
	mark     string
	output   output

	ended chan struct{} // closed when the program has ended
	end   error         // how, set before that
}

// watch waits for the end of its input, then ends its process group and with it itself.
const watch = "read -r end; kill -s KILL 0"

// markName is the environment variable that the mark is in.
const markName = "FAULTLINE_CHILD"

// killWithin is how long killed processes may take to be gone.
const killWithin = 10 * time.Second

func startChild(run command, dir string, out output) (*child, error) {
	defer out.file.Close()
	c := &child{mark: markName + "=" + rand.Text(), output: out, ended: make(chan struct{})}
	if err := c.startWatcher(); err != nil {
		return nil, fmt.Errorf("start watcher: %w", err)
	}
	p := exec.Command(run.path, run.args...)
	p.Dir, p.Stdout, p.Stderr = dir, out.file, out.file
	p.Env = append(run.environment(os.Environ()), c.mark)
	join(p, c.group)
	if err := p.Start(); err != nil {
		close(c.ended)
		return nil, errors.Join(err, c.kill())
	}
	c.program = p
	go func() {
		c.end = p.Wait()
		close(c.ended)
	}()
	return c, nil
}

func (c *child) startWatcher() error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	w := exec.Command("/bin/sh", "-c", watch)
	w.Stdin, w.Env, w.Dir = read, []string{}, "/"
	lead(w)
	if err := w.Start(); err != nil {
		write.Close()
		return err
	}
	c.watcher, c.lifeline, c.group = w, write, w.Process.Pid
	return nil
}

// environment is what a program inherits of base, and its own.
func (r command) environment(base []string) []string {
	env := slices.DeleteFunc(slices.Clone(base), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		_, own := r.env[name]
		return own || slices.ContainsFunc(r.drop, func(start string) bool {
			return strings.HasPrefix(name, start)
		})
	})
	for _, name := range slices.Sorted(maps.Keys(r.env)) {
		env = append(env, name+"="+r.env[name])
	}
	return env
}

func (c *child) hasEnded() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// lastWords tells how the program ended and what it wrote last. It must have ended.
func (c *child) lastWords() string {
	how := "exit status 0"
	if c.end != nil {
		how = c.end.Error()
	}
	lines := c.output.lastLines()
	if len(lines) == 0 {
		return how + "; it wrote nothing"
	}
	return fmt.Sprintf("%s; its last %d lines:\n    %s", how, len(lines),
		strings.Join(lines, "\n    "))
}

// ask asks the program alone to end in order. One that is frozen is woken for it.
func (c *child) ask() error {
	if c.hasEnded() {
		return nil
	}
	if err := terminate(c.program.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ask process %d to end: %w", c.program.Process.Pid, err)
	}
	return c.thaw()
}

// kill ends the group and those who have left it, and returns when all are gone. It may be called
// again after an error.
func (c *child) kill() error {
	if err := killGroup(c.group); err != nil {
		return err
	}
	overdue := time.NewTimer(killWithin)
	defer overdue.Stop()
	select {
	case <-c.ended:
	case <-overdue.C:
		return fmt.Errorf("process group %d is not gone after %s", c.group, killWithin)
	}
	if err := c.killOthers(overdue.C); err != nil {
		return err
	}
	c.lifeline.Close()
	c.watcher.Wait() // it was killed, which is an error by its count
	return nil
}

// lookEvery is the pause between two looks for who is still there.
const lookEvery = 2 * time.Millisecond

// killOthers kills what the program has started until nobody is left but the watcher.
func (c *child) killOthers(overdue <-chan time.Time) error {
	again := time.NewTicker(lookEvery)
	defer again.Stop()
	for {
		left, err := c.family()
		if err != nil || len(left) == 0 {
			return err
		}
		for _, m := range left {
			killProcess(m.pid)
		}
		select {
		case <-overdue:
			return fmt.Errorf("processes %v are not gone after %s", pids(left), killWithin)
		case <-again.C:
		}
	}
}

// member is a living process of a child's family.
type member struct {
	pid    int
	joined bool          // it is in the child's group
	cpu    time.Duration // its own, and that of its children who have ended
	memory int64         // resident, in bytes
}

func pids(all []member) (ids []int) {
	for _, m := range all {
		ids = append(ids, m.pid)
	}
	return ids
}
