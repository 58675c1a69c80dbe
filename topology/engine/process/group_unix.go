//go:build unix

package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// lead makes a program the leader of a process group of its own: signals of the terminal do not
// reach it.
func lead(p *exec.Cmd) { p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// join puts a program into a group.
func join(p *exec.Cmd, group int) {
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: group}
}

func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

func killProcess(pid int) { syscall.Kill(pid, syscall.SIGKILL) }

func killGroup(group int) error { return toGroup(group, syscall.SIGKILL) }

// freeze tells all of the group to stop but the watcher, which must see the end of this process.
func (c *child) freeze() error {
	if err := toGroup(c.group, syscall.SIGSTOP); err != nil {
		return err
	}
	return c.watcher.Process.Signal(syscall.SIGCONT)
}

// thaw wakes all of the group.
func (c *child) thaw() error { return toGroup(c.group, syscall.SIGCONT) }

// toGroup sends a signal to a group whose leader has not been waited for. EPERM is how some systems
// say that all its members are dead.
func toGroup(group int, s syscall.Signal) error {
	err := syscall.Kill(-group, s)
	if err == nil || errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.EPERM) {
		return nil
	}
	return fmt.Errorf("send %s to process group %d: %w", s, group, err)
}
