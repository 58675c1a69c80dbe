// Package mqtt is the embedded MQTT broker: mochi-mqtt over the fabric's listener.
//
// It serves the run step of load → plan → run → check → report. It promises that a QoS 1 message is
// with every subscriber's session before it is acknowledged, that a session (subscriptions and
// unacknowledged messages, in their order) and retained messages outlive Stop and Kill, and that
// no acknowledged message is dropped: a publish for which a session has no room is not
// acknowledged at all. It may not import a client, a simulator or the fabric.
//
// Source: OASIS MQTT 3.1.1, sections 3.1.2.4 (sessions), 4.3.2 (QoS 1), 4.4 (redelivery) and 4.6
// (order).
package mqtt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"

	mochi "github.com/mochi-mqtt/server/v2"

	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/embedded/gate"
	"github.com/faultline-sim/faultline/topology/features"
)

// Engine is one MQTT broker. It implements engine.Engine and engine.Disconnecter.
type Engine struct {
	cfg  engine.Config
	kept kept // what outlives a stop; current only while stopped

	dropped atomic.Int64 // by brokers that have stopped
	broker  atomic.Pointer[broker]
}

// broker is one start's worth of an engine.
type broker struct {
	server *mochi.Server
	router *router
	door   *door
}

// New prepares an engine; nothing listens before Start.
func New(cfg engine.Config) (engine.Engine, error) { return &Engine{cfg: cfg}, nil }

// Start listens and returns when a CONNECT is answered by a CONNACK.
func (e *Engine) Start(ctx context.Context) error {
	if e.broker.Load() != nil {
		return errors.New("start mqtt: it runs already")
	}
	l, err := e.cfg.Host.Listen(0)
	if err != nil {
		return fmt.Errorf("listen for mqtt: %w", err)
	}
	b := &broker{server: mochi.New(options()), door: newDoor(gate.New(l))}
	b.router = newRouter(b.server, e.cfg.Authenticate)
	e.kept.restore(b)
	if err := b.serve(); err != nil {
		b.door.gate.Close()
		return fmt.Errorf("start mqtt: %w", err)
	}
	e.broker.Store(b)
	if err := probe(ctx, b.door.gate, b.router.pass); err != nil {
		return errors.Join(fmt.Errorf("probe mqtt at %s: %w", l.Addr(), err), e.Kill(ctx))
	}
	return nil
}

func (b *broker) serve() error {
	if err := b.server.AddHook(b.router, nil); err != nil {
		return err
	}
	if err := b.server.AddListener(b.door); err != nil {
		return err
	}
	return b.server.Serve()
}

// options leave routing, expiry and flow control to the router; what is left of the library's own
// queues carries retained messages only.
func options() *mochi.Options {
	can := mochi.NewDefaultServerCapabilities()
	can.MaximumClientWritesPending = 256
	can.MaximumMessageExpiryInterval = 0
	can.TopicAliasMaximum = 0
	can.SubIDAvailable = 0
	return &mochi.Options{
		Capabilities:           can,
		Logger:                 slog.New(slog.DiscardHandler),
		SysTopicResendInterval: 24 * 60 * 60, // seconds; each one stops the world
	}
}

// Stop closes the listener, sends what is already answered, and ends every connection.
func (e *Engine) Stop(ctx context.Context) error { return e.end(ctx, false) }

// Kill resets all connections. What was acknowledged is kept.
func (e *Engine) Kill(ctx context.Context) error { return e.end(ctx, true) }

func (e *Engine) end(ctx context.Context, abrupt bool) error {
	b := e.broker.Swap(nil)
	if b == nil {
		return nil
	}
	b.door.gate.Close()
	if abrupt {
		b.door.gate.Drop(true)
	}
	closed := make(chan error, 1)
	go func() { closed <- b.close() }()
	var err error
	select {
	case err = <-closed:
	case <-ctx.Done():
		b.door.gate.Drop(true)
		err = errors.Join(ctx.Err(), <-closed)
	}
	e.kept = keep(b)
	e.dropped.Add(b.dropped())
	return err
}

// close returns when no goroutine of the broker is left.
func (b *broker) close() error {
	err := b.server.Close()
	b.door.wait()
	return err
}

// Wipe forgets all sessions and retained messages.
func (e *Engine) Wipe(context.Context) error {
	if e.broker.Load() != nil {
		return errors.New("wipe mqtt: it runs")
	}
	e.kept = kept{}
	return nil
}

// DisconnectAll resets every connection; sessions stay.
func (e *Engine) DisconnectAll(context.Context) (int, error) {
	b := e.broker.Load()
	if b == nil {
		return 0, errors.New("disconnect clients: mqtt is stopped")
	}
	return b.door.gate.Drop(true), nil
}

// Dropped is how many messages were lost to a full queue so far. It stays 0, because a full
// session refuses instead; see Refused.
func (e *Engine) Dropped() int64 {
	n := e.dropped.Load()
	if b := e.broker.Load(); b != nil {
		n += b.dropped()
	}
	return n
}

// Refused is how many publishes the running broker left unanswered because a subscriber's session
// was full.
func (e *Engine) Refused() int64 {
	if b := e.broker.Load(); b != nil {
		return b.router.refused.Load()
	}
	return 0
}

func (b *broker) dropped() int64 {
	info := b.server.Info
	return atomic.LoadInt64(&info.MessagesDropped) + atomic.LoadInt64(&info.InflightDropped)
}

// Info says what this broker is worth.
func (e *Engine) Info() engine.Info {
	return engine.InfoOf(features.Embedded, e.cfg.Node, engine.Version("github.com/mochi-mqtt/server/v2"))
}

// Close stops the engine and forgets all it kept.
func (e *Engine) Close() error {
	err := e.Kill(context.Background())
	e.kept = kept{}
	return err
}

var (
	_ engine.Engine       = (*Engine)(nil)
	_ engine.Disconnecter = (*Engine)(nil)
	_ io.Closer           = (*Engine)(nil)
)
