package process

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownGroup is a process group of its own, killed when this process dies.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitExit returns when a process has ended. It leaves it to be waited for, so that its id, which
// is also its group's, still means nobody else.
func awaitExit(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}
