// Package s3 is the embedded S3 store: gofakes3 over the fabric's listener.
//
// It serves the run step of load → plan → run → check → report. Objects live in memory for as long
// as the engine object does, so they outlive Stop and Kill and end with Wipe or Close. It may not
// import a client, a simulator or the fabric.
package s3

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/embedded/gate"
	"github.com/faultline-sim/faultline/topology/features"
)

// Engine is one S3 endpoint. It implements engine.Engine.
type Engine struct {
	cfg     engine.Config
	objects *s3mem.Backend
	running *running // nil while stopped
}

// running is what exists between Start and Stop.
type running struct {
	gate   *gate.Gate
	server *http.Server
	served chan struct{}
	unused sync.Map // connections (net.Conn) that have had no request
}

// unusedFor is how long Stop waits for the first request of a connection that has had none:
// net/http would wait for five seconds.
const unusedFor = 100 * time.Millisecond

// New prepares an engine; nothing listens before Start.
func New(cfg engine.Config) (engine.Engine, error) {
	if cfg.Authenticate != nil {
		return nil, fmt.Errorf("make s3 engine %q: it cannot check passwords", cfg.Node.Name)
	}
	return &Engine{cfg: cfg, objects: s3mem.New()}, nil
}

// Start listens and returns when a list of buckets is answered.
func (e *Engine) Start(ctx context.Context) error {
	if e.running != nil {
		return errors.New("start s3: it runs already")
	}
	l, err := e.cfg.Host.Listen(0)
	if err != nil {
		return fmt.Errorf("listen for s3: %w", err)
	}
	fake := gofakes3.New(listed{e.objects},
		gofakes3.WithLogger(gofakes3.DiscardLog()),
		gofakes3.WithTimeSkewLimit(0),
		gofakes3.WithoutVersioning())
	r := &running{gate: gate.New(l), served: make(chan struct{})}
	r.server = &http.Server{Handler: fake.Server(), ConnState: r.track}
	go func() {
		defer close(r.served)
		r.server.Serve(r.gate)
	}()
	e.running = r
	if err := r.probe(ctx); err != nil {
		return errors.Join(fmt.Errorf("probe s3 at %s: %w", l.Addr(), err), e.Kill(ctx))
	}
	return nil
}

func (r *running) track(c net.Conn, state http.ConnState) {
	if state == http.StateNew {
		r.unused.Store(c, nil)
	} else {
		r.unused.Delete(c)
	}
}

func (r *running) closeUnused() {
	for c := range r.unused.Range {
		c.(net.Conn).Close()
	}
}

// probe asks for the list of buckets over a connection of its own.
func (r *running) probe(ctx context.Context) error {
	c, err := r.gate.Probe(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	return ListBuckets(c)
}

// ListBuckets asks an S3 server for its buckets over a connection that is used for nothing else;
// nil says that it answered.
func ListBuckets(c net.Conn) error {
	const list = "GET / HTTP/1.1\r\nHost: s3.amazonaws.com\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(c, list); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("a list of buckets was answered %s", answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// Stop answers the requests in hand, then closes; past the deadline it closes anyway.
func (e *Engine) Stop(ctx context.Context) error {
	r := e.running
	if r == nil {
		return nil
	}
	defer time.AfterFunc(unusedFor, r.closeUnused).Stop()
	if err := r.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("stop s3: %w", err), e.Kill(ctx))
	}
	return e.end()
}

// Kill resets all connections.
func (e *Engine) Kill(context.Context) error {
	if e.running == nil {
		return nil
	}
	e.running.gate.Close()
	e.running.gate.Drop(true)
	e.running.server.Close()
	return e.end()
}

func (e *Engine) end() error {
	r := e.running
	e.running = nil
	r.gate.Close()
	r.gate.Drop(false)
	<-r.served
	return nil
}

// Wipe forgets all buckets.
func (e *Engine) Wipe(context.Context) error {
	if e.running != nil {
		return errors.New("wipe s3: it runs")
	}
	e.objects = s3mem.New()
	return nil
}

// Info says what gofakes3 is worth.
func (e *Engine) Info() engine.Info {
	return engine.InfoOf(features.Embedded, e.cfg.Node, engine.Version("github.com/johannesboyne/gofakes3"))
}

// Close stops the engine and forgets all objects.
func (e *Engine) Close() error {
	err := e.Kill(context.Background())
	e.objects = s3mem.New()
	return err
}
