package container

import (
	"context"
	"os"
	"sync"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
)

// daemon is the Docker daemon, as the library found it.
type daemon struct {
	provider *testcontainers.DockerProvider
	api      client.APIClient
}

// connect finds the daemon and makes sure that it answers.
func connect(ctx context.Context) (*daemon, error) {
	settle()
	if err := named(ctx); err != nil {
		return nil, unreachable(err)
	}
	provider, err := testcontainers.NewDockerProvider(
		testcontainers.WithLogger(log.NewNoopLogger()))
	if err != nil {
		return nil, unreachable(err)
	}
	d := &daemon{provider: provider, api: provider.Client()}
	if _, err := d.api.Ping(ctx, client.PingOptions{}); err != nil {
		return nil, unreachable(err)
	}
	return d, nil
}

// named asks the daemon that DOCKER_HOST names, if it does. The library would go on to another one
// where that one does not answer.
func named(ctx context.Context) error {
	if os.Getenv(client.EnvOverrideHost) == "" {
		return nil
	}
	api, err := client.New(client.FromEnv)
	if err != nil {
		return err
	}
	defer api.Close()
	_, err = api.Ping(ctx, client.PingOptions{})
	return err
}

// reaperOff is where the library reads, once in a process, that it shall not run its reaper: a
// container that removes what a killed process left. It takes no other word than "true".
const reaperOff = "TESTCONTAINERS_RYUK_DISABLED"

// settle makes what the library keeps for the whole process what this one needs: silence, and no
// reaper unless it is asked for by "false". Its port is open to all of the machine's network, and it
// holds the daemon's socket; leftovers are found without it.
var settle = sync.OnceFunc(func() {
	log.SetDefault(log.NewNoopLogger())
	if os.Getenv(reaperOff) == "" {
		os.Setenv(reaperOff, "true")
	}
})

func (d *daemon) close() error { return d.provider.Close() }
