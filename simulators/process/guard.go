package process

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// guardScript ends its whole process group when its input ends, which it does with the process that
// holds the other end, however that ended. It takes no notice of a request to stop.
const guardScript = `trap "" TERM INT HUP; read -r _; kill -KILL 0`

// guard keeps a process group from outliving this process: it is a member that waits for its end.
type guard struct {
	cmd  *exec.Cmd
	held io.Closer // what ends the guard's input
}

// newGuard puts a guard into a group.
func newGuard(group int) (*guard, error) {
	cmd := exec.Command("/bin/sh", "-c", guardScript)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: group}
	held, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("guard processes of group %d: %w", group, err)
	}
	return &guard{cmd, held}, nil
}

// wait returns when the guard, which is killed with its group, has ended.
func (g *guard) wait() error {
	if g == nil {
		return nil
	}
	err := g.cmd.Wait()
	var killed *exec.ExitError
	if errors.As(err, &killed) {
		err = nil
	}
	g.held.Close() // closed by Wait already, most often
	return err
}
