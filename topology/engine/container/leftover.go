package container

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// Leftover is a thing in the daemon whose owner no longer lives.
type Leftover struct {
	Kind string // "container", "network" or "volume"
	ID   string
	Name string
	Run  string // the run's id
	Node string // the node's full name
	PID  int    // of the process that made it
}

// Leftovers are all things that runs made and that no living process owns: containers first, then
// networks, then volumes, which is the order in which they can be removed. What a living process
// made, or one on another machine, is never among them.
func Leftovers(ctx context.Context) ([]Leftover, error) {
	d, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	defer d.close()
	var all []Leftover
	add := func(kind, id, name string, labels map[string]string) {
		if ownerLives(labels) {
			return
		}
		pid, _ := strconv.Atoi(labels[LabelPID])
		all = append(all, Leftover{kind, id, name, labels[LabelRun], labels[LabelNode], pid})
	}
	ours := make(client.Filters).Add("label", LabelRun)
	containers, err := d.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	for _, c := range containers.Items {
		add("container", c.ID, strings.TrimPrefix(strings.Join(c.Names, ","), "/"), c.Labels)
	}
	networks, err := d.api.NetworkList(ctx, client.NetworkListOptions{Filters: ours})
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	for _, n := range networks.Items {
		add("network", n.ID, n.Name, n.Labels)
	}
	volumes, err := d.api.VolumeList(ctx, client.VolumeListOptions{Filters: ours})
	if err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	for _, v := range volumes.Items {
		add("volume", v.Name, v.Name, v.Labels)
	}
	return all, nil
}

// Remove removes it, a container with its volumes. What has gone meanwhile is no error.
func (l Leftover) Remove(ctx context.Context) error {
	d, err := connect(ctx)
	if err != nil {
		return err
	}
	defer d.close()
	switch l.Kind {
	case "container":
		err = d.remove(ctx, l.ID)
	case "network":
		_, err = d.api.NetworkRemove(ctx, l.ID, client.NetworkRemoveOptions{})
	case "volume":
		_, err = d.api.VolumeRemove(ctx, l.ID, client.VolumeRemoveOptions{})
	default:
		err = errors.New("it is of no known kind")
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove %s %q: %w", l.Kind, l.Name, err)
	}
	return nil
}

// remove ends a container by force and removes it with its volumes. One that is gone, or on its
// way, is no error.
func (d *daemon) remove(ctx context.Context, id string) error {
	_, err := d.api.ContainerRemove(ctx, id,
		client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	going := errdefs.IsConflict(err) && strings.Contains(err.Error(), "already in progress")
	if errdefs.IsNotFound(err) || going {
		return nil
	}
	return err
}
