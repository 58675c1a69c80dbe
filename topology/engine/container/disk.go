package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"
)

// disk is a member's small disk, in memory, and a container that holds it: without, it would be gone
// when the member ends, as some do when they can write no more.
type disk struct {
	made
	volume string
}

// The disk's place in the container that holds it, and the file there that takes the room.
const (
	diskAt = "/faultline-disk"
	filler = diskAt + "/.faultline-filler"
)

// makeDisk makes a member's small disk, which stays until the member is removed.
func (e *Engine) makeDisk(ctx context.Context, m *member, labels map[string]string) error {
	if e.cfg.Disk == 0 || e.product.data == "" || m.disk.Load() != nil {
		return nil
	}
	name := m.name + "-disk"
	size := strconv.FormatInt(e.cfg.Disk, 10)
	if _, err := e.daemon.api.VolumeCreate(ctx, client.VolumeCreateOptions{
		Name: name, Labels: labels, Driver: "local",
		DriverOpts: map[string]string{"type": "tmpfs", "device": "tmpfs", "o": "mode=777,size=" + size},
	}); err != nil {
		return fmt.Errorf("make disk %q: %w", name, err)
	}
	d := &disk{made{e.daemon, name}, name}
	m.disk.Store(d)
	// The image's own sleep is there in every image that has a shell, and asks for no other image.
	_, err := e.daemon.api.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: name,
		Config: &container.Config{
			Image: e.image, Labels: labels, User: "0", StopSignal: "SIGKILL",
			Entrypoint: []string{"sleep"}, Cmd: []string{"2147483647"},
		},
		HostConfig: &container.HostConfig{
			NetworkMode: "none",
			Mounts:      []mount.Mount{{Type: mount.TypeVolume, Source: name, Target: diskAt}},
		},
	})
	if err == nil {
		_, err = d.api.ContainerStart(ctx, d.id, client.ContainerStartOptions{})
	}
	if err != nil {
		return fmt.Errorf("hold disk %q with image %q: %w", name, e.image, err)
	}
	return nil
}

// removeDisk removes a member's disk, once the member is.
func (m *member) removeDisk(ctx context.Context) error {
	d := m.disk.Load()
	if d == nil {
		return nil
	}
	if err := d.remove(ctx, d.id); err != nil {
		return fmt.Errorf("remove container %q: %w", d.id, err)
	}
	_, err := d.api.VolumeRemove(ctx, d.volume, client.VolumeRemoveOptions{})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove disk %q: %w", d.volume, err)
	}
	m.disk.Store(nil)
	return nil
}

// FillDisk writes a file that takes all that is left of the small disk that data is kept on, but for
// what the product needs to come through it. Without such a disk it refuses: it would fill the
// machine's own.
func (e *Engine) FillDisk(ctx context.Context) (func(context.Context) error, error) {
	switch {
	case !e.running:
		return nil, fmt.Errorf("fill disk of %s: it is stopped", e.info.Name)
	case e.cfg.Disk == 0 || e.product.data == "":
		return nil, fmt.Errorf("fill disk of %s: %w: its data is on the machine's own disk",
			e.info.Name, ErrUnable)
	}
	err := e.eachDisk(func(d *disk) error {
		return d.fill(ctx, e.product.spare)
	})
	if err != nil {
		return nil, errors.Join(err, e.free(context.WithoutCancel(ctx)))
	}
	return e.free, nil
}

// fillBlock is the size in bytes of the pieces that a disk is filled by.
const fillBlock = 4096

// fill takes all of the disk but spare bytes.
func (d *disk) fill(ctx context.Context, spare int64) error {
	command := []string{"dd", "if=/dev/zero", "of=" + filler, "bs=" + strconv.Itoa(fillBlock)}
	if spare > 0 {
		said, err := d.run(ctx, "stat", "-f", "-c", "%a %S", diskAt)
		var blocks, size int64
		if err == nil {
			_, err = fmt.Sscan(said, &blocks, &size)
		}
		if err != nil {
			return fmt.Errorf("measure disk %q: %w", d.volume, err)
		}
		command = append(command, "count="+
			strconv.FormatInt(max(0, blocks*size-spare)/fillBlock, 10))
	}
	said, err := d.run(ctx, command...)
	if err != nil && !strings.Contains(said, "No space left") {
		return fmt.Errorf("fill disk %q: %w", d.volume, err)
	}
	return nil
}

// free removes the file, and starts members anew that have ended for want of room.
func (e *Engine) free(ctx context.Context) error {
	err := e.eachDisk(func(d *disk) error {
		if _, err := d.run(ctx, "rm", "-f", filler); err != nil {
			return fmt.Errorf("free disk %q: %w", d.volume, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return e.revive(ctx)
}

func (e *Engine) eachDisk(do func(d *disk) error) error {
	return e.each(func(m *member, _ *made) error {
		d := m.disk.Load()
		if d == nil {
			return fmt.Errorf("container %q has no disk of its own", m.name)
		}
		return do(d)
	})
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
