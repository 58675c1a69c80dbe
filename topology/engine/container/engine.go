package container

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"golang.org/x/sync/errgroup"

	"github.com/faultline-sim/faultline/topology/engine"
)

// Engine is one broker or store in containers; what is its product's own is in product. It
// implements what New says.
type Engine struct {
	cfg     engine.Config
	info    engine.Info
	product product
	image   string
	name    string // begins the names of all that it makes
	behind  bool   // clients reach it through a door in this process

	daemon  *daemon // nil until it is needed
	network string  // name of the members' own network, "" for one member
	members []*member
	running bool
}

// closeWithin is how long Close may take: it must work when the caller's context is over.
const closeWithin = 30 * time.Second

// stopWithin is how long an orderly stop may take where the context does not say.
const stopWithin = 30 * time.Second

// Start makes the containers that are not there yet, starts all, and returns when each answers.
func (e *Engine) Start(ctx context.Context) error {
	if e.running {
		return fmt.Errorf("start %s: it runs already", e.info.Name)
	}
	if err := e.Fetch(ctx, func(string) {}); err != nil {
		return err
	}
	if err := e.connectMembers(ctx); err != nil {
		return err
	}
	group, started := errgroup.WithContext(ctx)
	for _, m := range e.members {
		group.Go(func() error { return e.launch(started, m) })
	}
	if err := group.Wait(); err != nil {
		return errors.Join(err, e.endAfter(ctx))
	}
	e.running = true
	return e.announce()
}

// endAfter kills what a failed start has left running, also when the context is over.
func (e *Engine) endAfter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
	defer cancel()
	return e.kill(ctx)
}

// connectMembers reserves the members' ports and makes the network that they find each other in.
func (e *Engine) connectMembers(ctx context.Context) (err error) {
	for _, m := range e.members {
		if m.port, err = e.cfg.Host.Port(e.replica(m)); err != nil {
			return err
		}
	}
	if len(e.members) == 1 || e.network != "" {
		return nil
	}
	labels, err := Labels(e.cfg.Run, e.cfg.Node.Name)
	if err != nil {
		return err
	}
	if _, err := e.daemon.provider.CreateNetwork(ctx, testcontainers.NetworkRequest{
		Name: e.name, Labels: labels, Driver: "bridge",
	}); err != nil {
		return fmt.Errorf("make network %q: %w", e.name, err)
	}
	e.network = e.name
	return nil
}

// replica is the number by which the fabric knows a member's port. A door in this process has the
// first one.
func (e *Engine) replica(m *member) int {
	if e.behind {
		return m.number + 1
	}
	return m.number
}

// dial reaches a member.
func (e *Engine) dial(ctx context.Context, m *member) (net.Conn, error) {
	return e.cfg.Host.Dial(ctx, e.replica(m))
}

func (e *Engine) announce() error {
	if e.behind {
		return nil
	}
	for _, m := range e.members {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(m.port))
		if err := e.cfg.Host.Announce(m.number, addr); err != nil {
			return err
		}
	}
	return nil
}

// launch makes one member's container if need be, starts it and waits until it answers.
func (e *Engine) launch(ctx context.Context, m *member) error {
	if m.made.Load() == nil {
		if err := e.create(ctx, m); err != nil {
			return err
		}
	}
	c := m.made.Load()
	if _, err := c.api.ContainerStart(ctx, c.id, client.ContainerStartOptions{}); err != nil {
		return atStart(m, err)
	}
	return e.ready(ctx, m)
}

// each does the same to all members at once.
func (e *Engine) each(do func(m *member, c *made) error) error {
	errs := make([]error, len(e.members))
	var group errgroup.Group
	for i, m := range e.members {
		c := m.made.Load()
		if c == nil {
			continue
		}
		group.Go(func() error { errs[i] = do(m, c); return nil })
	}
	group.Wait()
	return errors.Join(errs...)
}

// Stop ends the containers in order and keeps them, with their data. What does not end before the
// context's deadline is killed, and that is an error.
func (e *Engine) Stop(ctx context.Context) error {
	if !e.running {
		return nil
	}
	e.running = false
	seconds := int(stopWithin / time.Second)
	if deadline, ok := ctx.Deadline(); ok {
		seconds = max(0, int(time.Until(deadline)/time.Second))
	}
	return e.each(func(m *member, c *made) error {
		_, err := c.api.ContainerStop(ctx, c.id, client.ContainerStopOptions{Timeout: &seconds})
		if err != nil {
			return fmt.Errorf("stop container %q: %w", m.name, err)
		}
		return c.inOrder(ctx, m)
	})
}

// killedBySignal is the exit code of a process that SIGKILL ended.
const killedBySignal = 137

func (c *made) inOrder(ctx context.Context, m *member) error {
	s, err := c.state(ctx)
	if err == nil && s.ExitCode == killedBySignal {
		err = fmt.Errorf("stop container %q: it did not end in time and was killed", m.name)
	}
	return err
}

// Kill ends the containers as by kill -9 and returns when they have ended.
func (e *Engine) Kill(ctx context.Context) error {
	e.running = false
	return e.kill(ctx)
}

func (e *Engine) kill(ctx context.Context) error {
	return e.each(func(m *member, c *made) error { return c.kill(ctx, m) })
}

func (c *made) kill(ctx context.Context, m *member) error {
	ended := c.api.ContainerWait(ctx, c.id,
		client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	_, err := c.api.ContainerKill(ctx, c.id, client.ContainerKillOptions{Signal: "KILL"})
	if errdefs.IsConflict(err) || errdefs.IsNotFound(err) {
		return nil // it does not run
	}
	if err != nil {
		return fmt.Errorf("kill container %q: %w", m.name, err)
	}
	select {
	case <-ended.Result:
		return nil
	case err := <-ended.Error:
		return fmt.Errorf("wait for the end of container %q: %w", m.name, err)
	}
}

// Wipe removes the containers with their data; the next Start makes new ones.
func (e *Engine) Wipe(ctx context.Context) error {
	if e.running {
		return fmt.Errorf("wipe %s: it runs", e.info.Name)
	}
	return e.remove(ctx)
}

func (e *Engine) remove(ctx context.Context) error {
	err := e.each(func(m *member, c *made) error {
		if err := c.remove(ctx, c.id); err != nil {
			return fmt.Errorf("remove container %q: %w", m.name, err)
		}
		m.made.Store(nil)
		return nil
	})
	for _, m := range e.members {
		if m.made.Load() == nil {
			err = errors.Join(err, m.removeDisk(ctx))
		}
	}
	return err
}

// Info says what the product is worth and what can be done to it on this machine; its version is
// the image.
func (e *Engine) Info() engine.Info { return e.info }

// Close removes the containers, their volumes and their network.
func (e *Engine) Close() error {
	if e.daemon == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	e.running = false
	if err := e.remove(ctx); err != nil {
		return err
	}
	if e.network != "" {
		_, err := e.daemon.api.NetworkRemove(ctx, e.network, client.NetworkRemoveOptions{})
		if err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove network %q: %w", e.network, err)
		}
		e.network = ""
	}
	d := e.daemon
	e.daemon = nil
	return d.close()
}

var (
	_ engine.Engine       = (*Engine)(nil)
	_ engine.Fetcher      = (*Engine)(nil)
	_ engine.Pauser       = (*Engine)(nil)
	_ engine.Limiter      = (*Engine)(nil)
	_ engine.DiskFiller   = (*Engine)(nil)
	_ engine.Cutter       = (*Engine)(nil)
	_ engine.Disconnecter = (*Engine)(nil)
	_ engine.Metered      = (*Engine)(nil)
)
