// Package redis is the embedded Redis store: miniredis over the fabric's listener.
//
// It serves the run step of load → plan → run → check → report. Keys live in memory for as long as
// the engine object does, so they outlive Stop and Kill and end with Wipe or Close; keys with a
// time to live expire by the clock, also while the engine is stopped. It may not import a client, a
// simulator or the fabric.
package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/alicebob/miniredis/v2"

	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/embedded/gate"
	"github.com/faultline-sim/faultline/topology/features"
)

// Engine is one Redis server. It implements engine.Engine.
type Engine struct {
	cfg  engine.Config
	data *miniredis.Miniredis
	ages *ages

	gate  *gate.Gate         // nil while stopped
	quit  context.CancelFunc // ends the goroutines
	ended sync.WaitGroup     // accepting, expiring
}

// New prepares an engine; nothing listens before Start.
func New(cfg engine.Config) (engine.Engine, error) {
	if cfg.Authenticate != nil {
		return nil, fmt.Errorf("make redis engine %q: it cannot check passwords", cfg.Node.Name)
	}
	return &Engine{cfg: cfg, data: miniredis.NewMiniRedis(), ages: newAges()}, nil
}

// Start listens and returns when a PING is answered.
func (e *Engine) Start(ctx context.Context) error {
	if e.gate != nil {
		return errors.New("start redis: it runs already")
	}
	l, err := e.cfg.Host.Listen(0)
	if err != nil {
		return fmt.Errorf("listen for redis: %w", err)
	}
	if err := e.revive(); err != nil {
		l.Close()
		return fmt.Errorf("start redis: %w", err)
	}
	e.gate = gate.New(l)
	life, quit := context.WithCancel(context.Background())
	e.quit = quit
	e.ages.age(e.data)
	e.ended.Go(func() { serve(e.gate, e.data) })
	e.ended.Go(func() { e.ages.expire(life, e.data) })
	if err := probe(ctx, e.gate); err != nil {
		return errors.Join(fmt.Errorf("probe redis at %s: %w", l.Addr(), err), e.Kill(ctx))
	}
	return nil
}

// revive brings the server's commands up over the data that is there. Its own listener is never
// used: the connection it gives is closed at once.
func (e *Engine) revive() error {
	e.data.Ctx, e.data.CtxCancel = context.WithCancel(context.Background())
	c, err := e.data.Dial()
	if err != nil {
		return err
	}
	e.data.Server().SetPreHook(e.ages.before)
	return c.Close()
}

func serve(g *gate.Gate, data *miniredis.Miniredis) {
	server := data.Server()
	for {
		c, err := g.Accept()
		if err != nil {
			return
		}
		server.ServeConn(c)
	}
}

func probe(ctx context.Context, g *gate.Gate) error {
	c, err := g.Probe(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if _, err := io.WriteString(c, "*1\r\n$4\r\nPING\r\n"); err != nil {
		return err
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && answer != "+PONG\r\n" {
		err = fmt.Errorf("PING was answered %q", answer)
	}
	return err
}

// Stop closes the listener, then every connection behind the command it is at.
func (e *Engine) Stop(context.Context) error { return e.end(false) }

// Kill resets all connections.
func (e *Engine) Kill(context.Context) error { return e.end(true) }

func (e *Engine) end(abrupt bool) error {
	if e.gate == nil {
		return nil
	}
	e.gate.Close()
	e.quit()
	e.ended.Wait()
	if abrupt {
		e.gate.Drop(true)
	}
	e.data.Close()
	e.gate.Drop(false)
	e.gate = nil
	return nil
}

// Wipe forgets all keys.
func (e *Engine) Wipe(context.Context) error {
	if e.gate != nil {
		return errors.New("wipe redis: it runs")
	}
	e.forget()
	return nil
}

func (e *Engine) forget() { e.data, e.ages = miniredis.NewMiniRedis(), newAges() }

// Info says what miniredis is worth.
func (e *Engine) Info() engine.Info {
	return engine.InfoOf(features.Embedded, e.cfg.Node, engine.Version("github.com/alicebob/miniredis/v2"))
}

// Close stops the engine and forgets all keys.
func (e *Engine) Close() error {
	err := e.Kill(context.Background())
	e.forget()
	return err
}
