// Package nats is the embedded NATS server: nats-server itself, with JetStream, in this process.
//
// It serves the run step of load → plan → run → check → report. It promises that streams, consumers
// and their acknowledgements outlive Stop and Kill, in files below the engine's folder. The server
// opens its listener itself, at the port that the fabric has reserved. It may not import a client,
// a simulator or the fabric.
package nats

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/features"
)

// MaxPayload is the largest message with its headers, in bytes: the server's default.
const MaxPayload = 1 << 20

// Engine is one NATS server. It implements engine.Engine and engine.Disconnecter.
type Engine struct {
	cfg    engine.Config
	server *server.Server // nil while stopped
}

// New prepares an engine; nothing listens before Start.
func New(cfg engine.Config) (engine.Engine, error) { return &Engine{cfg: cfg}, nil }

// Start listens and returns when the server speaks and JetStream is up.
func (e *Engine) Start(ctx context.Context) error {
	if e.server != nil {
		return errors.New("start nats: it runs already")
	}
	port, err := e.cfg.Host.Port(0)
	if err != nil {
		return err
	}
	s, err := server.NewServer(e.options(port))
	if err != nil {
		return fmt.Errorf("make nats server: %w", err)
	}
	e.server = s
	s.Start()
	if err := e.ready(ctx, s); err != nil {
		return errors.Join(fmt.Errorf("probe nats at port %d: %w", port, err), e.Kill(ctx))
	}
	return e.cfg.Host.Announce(0, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

func (e *Engine) options(port int) *server.Options {
	o := &server.Options{
		ServerName: "faultline", Host: "127.0.0.1", Port: port,
		NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: e.cfg.Dir, DisableJetStreamBanner: true,
		MaxPayload: MaxPayload,
		// Silent clients are dropped by then; theirs is the other half of it.
		PingInterval: 2 * time.Second, MaxPingsOut: 2,
	}
	if judge := e.cfg.Authenticate; judge != nil {
		o.CustomClientAuthentication = door(judge)
	}
	return o
}

// door judges who connects by user name and password.
type door func(user, password string) error

// Check implements server.Authentication.
func (d door) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	return d(o.Username, o.Password) == nil
}

// ready waits until a connection would be greeted and JetStream can be asked.
func (e *Engine) ready(ctx context.Context, s *server.Server) error {
	within := 10 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		within = time.Until(deadline)
	}
	if !s.ReadyForConnections(within) {
		return errors.New("it does not listen")
	}
	if !s.JetStreamEnabled() {
		return errors.New("JetStream is not enabled")
	}
	c, err := s.InProcessConn()
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	greeting, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.HasPrefix(greeting, "INFO ") {
		err = fmt.Errorf("it greets with %q", greeting)
	}
	return err
}

// Stop ends every connection and writes all state to disk.
func (e *Engine) Stop(context.Context) error {
	if e.server == nil {
		return nil
	}
	e.server.Shutdown()
	e.server.WaitForShutdown()
	e.server = nil
	return nil
}

// Kill drops all connections first: no answer to a request in hand is sent. What had been answered
// is kept, because the machine goes on: the server writes to a file before it answers, and syncs it
// each two minutes.
func (e *Engine) Kill(ctx context.Context) error {
	if e.server == nil {
		return nil
	}
	if _, err := e.DisconnectAll(ctx); err != nil {
		return err
	}
	return e.Stop(ctx)
}

// DisconnectAll drops every client's connection and says how many there were.
func (e *Engine) DisconnectAll(context.Context) (int, error) {
	if e.server == nil {
		return 0, errors.New("disconnect clients: nats is stopped")
	}
	all, err := e.server.Connz(&server.ConnzOptions{Limit: server.DefaultConnListSize << 10})
	if err != nil {
		return 0, fmt.Errorf("list nats connections: %w", err)
	}
	n := 0
	for _, c := range all.Conns {
		if e.server.DisconnectClientByID(c.Cid) == nil { // else it has gone by itself
			n++
		}
	}
	return n, nil
}

// Wipe forgets all streams and consumers.
func (e *Engine) Wipe(context.Context) error {
	if e.server != nil {
		return errors.New("wipe nats: it runs")
	}
	if err := os.RemoveAll(e.cfg.Dir); err != nil {
		return fmt.Errorf("wipe nats: %w", err)
	}
	return nil
}

// Info says what the server is worth.
func (e *Engine) Info() engine.Info {
	return engine.InfoOf(features.Embedded, e.cfg.Node,
		engine.Version("github.com/nats-io/nats-server/v2"))
}

// Close stops the server and removes its files.
func (e *Engine) Close() error {
	if err := e.Kill(context.Background()); err != nil {
		return err
	}
	return e.Wipe(context.Background())
}

var (
	_ engine.Engine       = (*Engine)(nil)
	_ engine.Disconnecter = (*Engine)(nil)
)
