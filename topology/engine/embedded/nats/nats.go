// Package nats is the embedded NATS server: nats-server itself, with JetStream, in this process.
//
// It serves the run step of load → plan → run → check → report. It promises that streams, consumers
// and their acknowledgements outlive Stop and Kill, in files below the engine's folder, and that it
// lives in virtual time as in real time. It may not import a client, a simulator or the fabric.
package nats

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/embedded/gate"
	"github.com/faultline-sim/faultline/topology/features"
)

// MaxPayload is the largest message with its headers, in bytes: the server's default.
const MaxPayload = 1 << 20

// Engine is one NATS server. It implements engine.Engine and engine.Disconnecter.
type Engine struct {
	cfg    engine.Config
	server *server.Server // nil while stopped
	gate   *gate.Gate     // nil while stopped
	clock  *clock         // nil while stopped
	// senders are the goroutines of connections that have something to send.
	senders sync.WaitGroup
}

// New prepares an engine; nothing listens before Start.
func New(cfg engine.Config) (engine.Engine, error) { return &Engine{cfg: cfg}, nil }

// Start listens and returns when the server speaks and JetStream is up.
func (e *Engine) Start(ctx context.Context) error {
	if e.server != nil {
		return errors.New("start nats: it runs already")
	}
	l, err := e.cfg.Host.Listen(0)
	if err != nil {
		return fmt.Errorf("listen for nats: %w", err)
	}
	s, err := server.NewServer(e.options())
	if err != nil {
		l.Close()
		return fmt.Errorf("make nats server: %w", err)
	}
	e.server, e.gate, e.clock = s, gate.New(l), startClock()
	if err := give(s, &listener{e.gate, &e.senders, make(chan struct{})}); err != nil {
		return errors.Join(err, e.Kill(ctx))
	}
	s.Start()
	if err := ready(ctx, s, e.gate); err != nil {
		return errors.Join(fmt.Errorf("probe nats at %s: %w", l.Addr(), err), e.Kill(ctx))
	}
	return nil
}

func (e *Engine) options() *server.Options {
	o := &server.Options{
		ServerName: "faultline",
		NoLog:      true, NoSigs: true,
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

// listener gives the server connections that never make it wait, until the server closes it.
type listener struct {
	gate    *gate.Gate
	senders *sync.WaitGroup
	closed  chan struct{}
}

// Accept gives the next connection. A server that runs takes each error for a passing one and turns
// in a circle, so a gate that is closed gives it none.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.gate.Accept()
	if err != nil {
		<-l.closed
		return nil, err
	}
	return newConn(c, l.senders), nil
}

func (l *listener) Addr() net.Addr { return l.gate.Addr() }

// Close is called once, by the server that shuts down; the gate is closed then.
func (l *listener) Close() error {
	close(l.closed)
	return nil
}

// door judges who connects by user name and password.
type door func(user, password string) error

// Check implements server.Authentication.
func (d door) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	return d(o.Username, o.Password) == nil
}

// ready waits until a connection is greeted and JetStream can be asked.
func ready(ctx context.Context, s *server.Server, g *gate.Gate) error {
	within := 10 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		within = time.Until(deadline)
	}
	if !s.ReadyForConnections(within) {
		return errors.New("it does not start")
	}
	if !s.JetStreamEnabled() {
		return errors.New("JetStream is not enabled")
	}
	c, err := g.Probe(ctx)
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
func (e *Engine) Stop(context.Context) error { return e.end(false) }

// Kill resets all connections first: no answer to a request in hand is sent. What had been answered
// is kept, because the machine goes on: the server writes to a file before it answers, and syncs it
// each two minutes.
func (e *Engine) Kill(context.Context) error { return e.end(true) }

func (e *Engine) end(abrupt bool) error {
	if e.server == nil {
		return nil
	}
	e.gate.Close()
	if abrupt {
		e.gate.Drop(true)
	}
	e.server.Shutdown()
	e.server.WaitForShutdown()
	e.senders.Wait()
	e.gate.Drop(abrupt)
	e.clock.stop()
	e.server, e.gate, e.clock = nil, nil, nil
	return nil
}

// DisconnectAll drops every client's connection and says how many there were.
func (e *Engine) DisconnectAll(context.Context) (int, error) {
	if e.server == nil {
		return 0, errors.New("disconnect clients: nats is stopped")
	}
	return e.gate.Drop(false), nil
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
