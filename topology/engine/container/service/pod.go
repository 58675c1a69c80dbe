// Package service runs a service of the user's own as a container whose only way to anybody is what
// is opened for it.
//
// It serves the run step of load → plan → run → check → report. A replica is a pod of two
// containers: a holder, which does nothing and holds a network with nothing in it but its own
// 127.0.0.1, and the user's image, which joins that network. What the service dials there is opened
// from outside, before its program runs; all else it tries to reach is not there. It promises that
// everything it makes carries the run's labels and that Close leaves nothing. It imports no
// simulator, no scenario and no client.
package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/faultline-sim/faultline/topology/engine"
	docker "github.com/faultline-sim/faultline/topology/engine/container"
)

// Config is what a pod is made from.
type Config struct {
	Run, Node string // for the labels
	Replica   int
}

// Pod is a network of its own, and who runs in it. Its methods are called by one goroutine at a
// time.
type Pod struct {
	docker *docker.Docker
	labels map[string]string
	name   string
	holder string // the container's id
	pid    int
}

// Unable says why services cannot run in containers on this machine, nil when they can.
func Unable() error {
	switch {
	case runtime.GOOS != "linux":
		return engine.NewProblem(
			fmt.Errorf("%w: on %s containers run in a machine of their own, whose networks cannot "+
				"be entered", docker.ErrUnable, runtime.GOOS),
			"run the program with command: in place of image: or build:, or run on Linux",
		)
	case os.Geteuid() != 0:
		return engine.NewProblem(
			fmt.Errorf("%w: only root may enter a container's network", docker.ErrUnable),
			"run as root, or run the program with command: in place of image: or build:",
		)
	}
	return nil
}

// NewPod makes the network of one replica.
func NewPod(ctx context.Context, c Config) (*Pod, error) {
	if err := Unable(); err != nil {
		return nil, err
	}
	labels, err := docker.Labels(c.Run, c.Node)
	if err != nil {
		return nil, err
	}
	d, err := docker.Open(ctx)
	if err != nil {
		return nil, err
	}
	p := &Pod{docker: d, labels: labels, name: "faultline-" + strings.ToLower(rand.Text()[:10])}
	if err := p.hold(ctx); err != nil {
		return nil, errors.Join(err, p.Close(context.WithoutCancel(ctx)))
	}
	return p, nil
}

// hold starts the holder and finds its process.
func (p *Pod) hold(ctx context.Context) error {
	if err := needHolder(ctx, p.docker); err != nil {
		return err
	}
	made, err := p.docker.API().ContainerCreate(ctx, client.ContainerCreateOptions{
		Name:       p.name + "-holder",
		Config:     &container.Config{Image: holderImage, Labels: p.labels},
		HostConfig: &container.HostConfig{NetworkMode: "none"},
	})
	if err != nil {
		return fmt.Errorf("make container of a network: %w", err)
	}
	p.holder = made.ID
	_, err = p.docker.API().ContainerStart(ctx, p.holder, client.ContainerStartOptions{})
	if err != nil {
		return fmt.Errorf("start container of a network: %w", err)
	}
	at, err := p.docker.API().ContainerInspect(ctx, p.holder, client.ContainerInspectOptions{})
	if err != nil {
		return fmt.Errorf("look at container of a network: %w", err)
	}
	p.pid = at.Container.State.Pid
	if _, err := os.Stat(fmt.Sprintf("/proc/%d/ns/net", p.pid)); p.pid == 0 || err != nil {
		return engine.NewProblem(
			fmt.Errorf("%w: the Docker daemon's processes are not this machine's", docker.ErrUnable),
			"run on the daemon's machine, or run the program with command:",
		)
	}
	return nil
}

// PID is a process in the pod's network, there until Close.
func (p *Pod) PID() int { return p.pid }

// Close removes the network. Who runs in it must have been removed.
func (p *Pod) Close(ctx context.Context) error {
	var err error
	if p.holder != "" {
		err = p.docker.Remove(ctx, p.holder)
	}
	return errors.Join(err, p.docker.Close())
}
