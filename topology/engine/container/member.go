package container

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// member is one container of an engine: a broker has one for each of its brokers.
type member struct {
	number int // from 0
	name   string
	port   int // published on 127.0.0.1
	made   atomic.Pointer[made]
	disk   atomic.Pointer[disk] // nil where data is on the machine's own
}

// made is a container that exists.
type made struct {
	*daemon
	id string
}

// product is what makes a container the broker or store of one protocol.
type product struct {
	port   int    // that clients dial, inside the container
	data   string // the data directory, inside the container; "" where there is none
	signal string // that ends it in order
	asked  string // what the probe asks, for messages
	spare  int64  // bytes that a full disk leaves it
	// dress is what a member is started with.
	dress func(m *member) dress
	// probe asks a member that was started whether a client would be answered.
	probe func(ctx context.Context, m *member) error
}

// dress is what differs from product to product when a container is made.
type dress struct {
	env     map[string]string
	command []string
	files   map[string]string // text by path
	user    string            // "" is the image's own
}

// create makes a member's container; it does not run yet.
func (e *Engine) create(ctx context.Context, m *member) error {
	labels, err := Labels(e.cfg.Run, e.cfg.Node.Name)
	if err != nil {
		return err
	}
	if err := e.makeDisk(ctx, m, labels); err != nil {
		return err
	}
	c, err := e.daemon.provider.CreateContainer(ctx, e.request(m, labels))
	switch {
	case c != nil && c.GetContainerID() != "":
		m.made.Store(&made{e.daemon, c.GetContainerID()})
	case err != nil && ctx.Err() != nil:
		// The daemon may have made it all the same: it was told too late that nobody waits.
		m.made.Store(&made{e.daemon, m.name})
	}
	if err != nil {
		return fmt.Errorf("make container %q of %q: %w", m.name, e.image, err)
	}
	return nil
}

func (e *Engine) request(m *member, labels map[string]string) testcontainers.ContainerRequest {
	d := e.product.dress(m)
	inside := network.MustParsePort(strconv.Itoa(e.product.port) + "/tcp")
	request := testcontainers.ContainerRequest{
		Image: e.image, Name: m.name, Labels: labels,
		Env: d.env, Cmd: d.command, ExposedPorts: []string{inside.String()},
		ConfigModifier: func(c *container.Config) {
			c.StopSignal, c.User = e.product.signal, d.user
		},
		HostConfigModifier: func(h *container.HostConfig) {
			h.PortBindings = network.PortMap{inside: {{
				HostIP: netip.AddrFrom4([4]byte{127, 0, 0, 1}), HostPort: strconv.Itoa(m.port),
			}}}
			if e.product.data != "" {
				h.Mounts = []mount.Mount{e.dataMount(m, labels)}
			}
		},
	}
	for path, text := range d.files {
		request.Files = append(request.Files, testcontainers.ContainerFile{
			Reader: strings.NewReader(text), ContainerFilePath: path, FileMode: 0o644,
		})
	}
	if e.network != "" {
		request.Networks = []string{e.network}
		request.NetworkAliases = map[string][]string{e.network: {m.alias()}}
	}
	return request
}

// alias is what the other members call it.
func (m *member) alias() string { return "member" + strconv.Itoa(m.number) }

// dataMount is the disk that data is kept on: a volume without a name, which goes with its
// container, or a small one in memory.
func (e *Engine) dataMount(m *member, labels map[string]string) mount.Mount {
	if d := m.disk.Load(); d != nil {
		return mount.Mount{Type: mount.TypeVolume, Source: d.volume, Target: e.product.data,
			VolumeOptions: &mount.VolumeOptions{NoCopy: true}}
	}
	return mount.Mount{Type: mount.TypeVolume, Target: e.product.data,
		VolumeOptions: &mount.VolumeOptions{Labels: labels}}
}

// lastLines is how much of a log is shown.
const lastLines = 20

// log is what a container wrote last.
func (m *made) log(ctx context.Context) []string {
	stream, err := m.api.ContainerLogs(ctx, m.id, client.ContainerLogsOptions{
		ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(lastLines),
	})
	if err != nil {
		return []string{fmt.Sprintf("(its log cannot be read: %v)", err)}
	}
	defer stream.Close()
	text, to := io.Pipe()
	go func() {
		_, err := stdcopy.StdCopy(to, to, stream)
		to.CloseWithError(err)
	}()
	defer text.Close()
	var lines []string
	for s := bufio.NewScanner(text); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return lines[max(0, len(lines)-lastLines):]
}

// state is what the daemon says of a container.
func (m *made) state(ctx context.Context) (*container.State, error) {
	r, err := m.api.ContainerInspect(ctx, m.id, client.ContainerInspectOptions{})
	if err != nil {
		return nil, fmt.Errorf("look at container: %w", err)
	}
	return r.Container.State, nil
}
