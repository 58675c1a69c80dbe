package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/faultline-sim/faultline/topology/engine"
)

// Program is a container of the user's image in a pod. It is safe for concurrent use.
type Program struct {
	pod   *Pod
	id    string
	ended chan struct{}
	code  int64
	err   error // of waiting for it
}

// Start makes a container of an image in the pod's network and starts it. Its output goes to out
// until it has ended. It has been removed when Ended is closed.
func (p *Pod) Start(ctx context.Context, image string, env map[string]string, out io.Writer) (
	*Program, error,
) {
	api := p.docker.API()
	made, err := api.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name:   p.name,
		Config: &container.Config{Image: image, Env: list(env), Labels: p.labels},
		HostConfig: &container.HostConfig{
			NetworkMode: container.NetworkMode("container:" + p.holder),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make container of %q: %w", image, err)
	}
	c := &Program{pod: p, id: made.ID, ended: make(chan struct{})}
	waiting := api.ContainerWait(context.WithoutCancel(ctx), c.id,
		client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	if _, err := api.ContainerStart(ctx, c.id, client.ContainerStartOptions{}); err != nil {
		err = fmt.Errorf("start container of %q: %w", image, err)
		return nil, errors.Join(err, p.docker.Remove(context.WithoutCancel(ctx), c.id))
	}
	go c.live(waiting, out)
	return c, nil
}

func list(env map[string]string) (all []string) {
	for name, value := range env {
		all = append(all, name+"="+value)
	}
	slices.Sort(all)
	return all
}

// live carries the output until the program has ended, and removes it then.
func (c *Program) live(waiting client.ContainerWaitResult, out io.Writer) {
	defer close(c.ended)
	ctx := context.Background()
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		stream, err := c.pod.docker.API().ContainerLogs(ctx, c.id, client.ContainerLogsOptions{
			ShowStdout: true, ShowStderr: true, Follow: true,
		})
		if err != nil {
			fmt.Fprintf(out, "faultline: its output cannot be read: %v\n", err)
			return
		}
		defer stream.Close()
		stdcopy.StdCopy(out, out, stream)
	}()
	select {
	case r := <-waiting.Result:
		c.code = r.StatusCode
	case err := <-waiting.Error:
		c.err = fmt.Errorf("wait for container: %w", err)
	}
	<-copied
	c.err = errors.Join(c.err, c.pod.docker.Remove(ctx, c.id))
}

// Ended is closed when the program has ended and its container is gone.
func (c *Program) Ended() <-chan struct{} { return c.ended }

// Code is its exit code, read after Ended is closed; the error says that it is not known, or that
// something is left.
func (c *Program) Code() (int64, error) { return c.code, c.err }

// Signal sends a signal to the program by name, "SIGTERM". One that has ended gets none.
func (c *Program) Signal(ctx context.Context, name string) error {
	_, err := c.pod.docker.API().ContainerKill(ctx, c.id, client.ContainerKillOptions{Signal: name})
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
		return fmt.Errorf("signal container: %w", err)
	}
	return nil
}

// Pause freezes all processes of the program until Resume.
func (c *Program) Pause(ctx context.Context) error {
	_, err := c.pod.docker.API().ContainerPause(ctx, c.id, client.ContainerPauseOptions{})
	if err != nil {
		return fmt.Errorf("pause container: %w", err)
	}
	return nil
}

// Resume lets a paused program go on; one that has ended, or was not paused, is no error.
func (c *Program) Resume(ctx context.Context) error {
	_, err := c.pod.docker.API().ContainerUnpause(ctx, c.id, client.ContainerUnpauseOptions{})
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
		return fmt.Errorf("resume container: %w", err)
	}
	return nil
}

// boundless is more memory than there is: daemons take no bound away that they have put on.
const boundless = 1 << 50

// period is the window that processor time is counted out in, in µs.
const period = 100_000

// Limit bounds processor time in cores and memory in bytes, 0 leaves that one alone; below 0 takes
// the bound away.
func (c *Program) Limit(ctx context.Context, cores float64, memory int64) error {
	var r container.Resources
	if cores != 0 {
		r.CPUPeriod, r.CPUQuota = period, max(1000, int64(cores*period))
	}
	if cores < 0 {
		r.CPUQuota = int64(runtime.NumCPU()) * period
	}
	switch {
	case memory > 0:
		r.Memory, r.MemorySwap = memory, memory
	case memory < 0:
		r.Memory, r.MemorySwap = boundless, boundless
	}
	_, err := c.pod.docker.API().ContainerUpdate(ctx, c.id,
		client.ContainerUpdateOptions{Resources: &r})
	if err != nil {
		return fmt.Errorf("limit container: %w", err)
	}
	return nil
}

// Usage is what the program uses of the machine.
func (c *Program) Usage(ctx context.Context) (engine.Usage, error) {
	return c.pod.docker.Usage(ctx, c.id)
}
