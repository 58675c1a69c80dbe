package container

import (
	"context"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"

	"github.com/faultline-sim/faultline/topology/engine"
)

// Docker is the daemon, for who makes containers that are no engines. What it makes carries Labels.
type Docker struct{ *daemon }

// Open finds the daemon; Close it.
func Open(ctx context.Context) (*Docker, error) {
	d, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	return &Docker{d}, nil
}

// API is the daemon's own interface.
func (d *Docker) API() client.APIClient { return d.api }

// Provider builds images.
func (d *Docker) Provider() *testcontainers.DockerProvider { return d.provider }

// Fetch makes sure that an image is there, and pulls it where it is not.
func (d *Docker) Fetch(ctx context.Context, image string, say func(text string)) error {
	return (&Engine{daemon: d.daemon, image: image}).Fetch(ctx, say)
}

// Usage is what a running container uses of the machine.
func (d *Docker) Usage(ctx context.Context, id string) (engine.Usage, error) {
	return (&made{d.daemon, id}).usage(ctx)
}

// Remove ends a container by force and removes it; one that is gone is no error.
func (d *Docker) Remove(ctx context.Context, id string) error { return d.remove(ctx, id) }

// Close forgets the daemon; what was made stays.
func (d *Docker) Close() error { return d.close() }
