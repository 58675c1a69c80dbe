//go:build !unix

package process

import (
	"errors"
	"os"
	"os/exec"
)

// errNoGroups is why no program is started on such a system: there is no process group by which all
// of it could be ended.
var errNoGroups = errors.New("engines in child processes need a Unix: choose --engines containers")

// lead and join lead to no start: the watcher, a shell at /bin/sh, comes first.
func lead(p *exec.Cmd) { p.Err = errNoGroups }

func join(*exec.Cmd, int) {}

func terminate(*os.Process) error { return errNoGroups }

func killProcess(int) {}

func killGroup(int) error { return errNoGroups }

func (c *child) freeze() error { return errNoGroups }

func (c *child) thaw() error { return errNoGroups }
