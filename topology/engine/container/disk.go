package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/moby/moby/client"
)

// filler is the file that takes the room.
const filler = ".faultline-filler"

// FillDisk writes a file that takes all that is left of the small disk that data is kept on.
// Without such a disk it refuses: it would fill the machine's own.
func (e *Engine) FillDisk(ctx context.Context) (func(context.Context) error, error) {
	switch {
	case !e.running:
		return nil, fmt.Errorf("fill disk of %s: it is stopped", e.info.Name)
	case e.cfg.Disk == 0 || e.product.data == "":
		return nil, fmt.Errorf("fill disk of %s: %w: its data is on the machine's own disk",
			e.info.Name, ErrUnable)
	}
	at := path.Join(e.product.data, filler)
	err := e.each(func(m *member, c *made) error {
		said, err := c.run(ctx, "dd", "if=/dev/zero", "of="+at, "bs=4096")
		if err != nil && !strings.Contains(said, "No space left") {
			return fmt.Errorf("fill disk of container %q: %w", m.name, err)
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, e.free(context.WithoutCancel(ctx), at))
	}
	return func(ctx context.Context) error { return e.free(ctx, at) }, nil
}

// free removes the file. A member that has ended starts anew, with an empty disk.
func (e *Engine) free(ctx context.Context, at string) error {
	err := e.each(func(m *member, c *made) error {
		if s, err := c.state(ctx); err != nil || !s.Running {
			return err
		}
		if _, err := c.run(ctx, "rm", "-f", at); err != nil {
			return fmt.Errorf("free disk of container %q: %w", m.name, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return e.revive(ctx)
}

// run runs a command of the image's own inside a container, as root, and gives what it says.
func (c *made) run(ctx context.Context, command ...string) (said string, err error) {
	x, err := c.api.ExecCreate(ctx, c.id, client.ExecCreateOptions{
		User: "0", Cmd: command, AttachStdout: true, AttachStderr: true, TTY: true,
		Env: []string{"LC_ALL=C"},
	})
	if err != nil {
		return "", fmt.Errorf("run %s: %w", command[0], err)
	}
	stream, err := c.api.ExecAttach(ctx, x.ID, client.ExecAttachOptions{TTY: true})
	if err != nil {
		return "", fmt.Errorf("run %s: %w", command[0], err)
	}
	defer stream.Close()
	defer context.AfterFunc(ctx, func() { stream.Close() })()
	text, err := io.ReadAll(stream.Reader)
	if err != nil {
		return string(text), fmt.Errorf("run %s: %w", command[0], err)
	}
	end, err := c.api.ExecInspect(ctx, x.ID, client.ExecInspectOptions{})
	if err == nil && end.ExitCode != 0 {
		err = fmt.Errorf("exit code %d: %s", end.ExitCode, strings.TrimSpace(string(text)))
	}
	if err != nil {
		return string(text), fmt.Errorf("run %s: %w", command[0], err)
	}
	return string(text), nil
}
