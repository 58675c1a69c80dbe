// Package postgres is the embedded PostgreSQL store: the PostgreSQL wire protocol in front of an
// SQLite file.
//
// It serves the run step of load → plan → run → check → report. It promises what pgx with its pool
// needs: prepared statements, typed parameters and results, multi-row inserts, ON CONFLICT,
// RETURNING, transactions, and errors that carry a SQLSTATE. What it cannot do is refused with
// 0A000, never done differently in silence. The file is kept over Stop and Kill. It may not import
// a client of ours, a simulator or the fabric.
//
// Source: PostgreSQL, Frontend/Backend Protocol 3.0.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	wire "github.com/jeroenrinzema/psql-wire"
	"github.com/jeroenrinzema/psql-wire/codes"
	psqlerr "github.com/jeroenrinzema/psql-wire/errors"
	"github.com/jeroenrinzema/psql-wire/pkg/types"

	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/embedded/gate"
	"github.com/faultline-sim/faultline/topology/features"
)

const (
	// MaxMessage bounds one message of a client's, in bytes.
	MaxMessage     = 4 << 20
	serverVersion  = "15.0"
	statementsKept = 1024
	fileName       = "postgres.db"
)

// Engine is one PostgreSQL server. It implements engine.Engine.
type Engine struct {
	cfg     engine.Config
	running *running // nil while stopped

	mu         sync.Mutex
	statements map[string][]*statement
}

// running is what exists between Start and Stop.
type running struct {
	db     *database
	gate   *gate.Gate
	server *wire.Server
	served chan error
	life   context.Context
	end    context.CancelFunc
}

// New prepares an engine; nothing listens before Start.
func New(cfg engine.Config) (engine.Engine, error) {
	return &Engine{cfg: cfg, statements: map[string][]*statement{}}, nil
}

func (e *Engine) file() string { return filepath.Join(e.cfg.Dir, fileName) }

// Start opens the file, listens and returns when a session is ready for queries.
func (e *Engine) Start(ctx context.Context) error {
	if e.running != nil {
		return errors.New("start postgres: it runs already")
	}
	db, err := open(e.file())
	if err != nil {
		return err
	}
	l, err := e.cfg.Host.Listen(0)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for postgres: %w", err), db.Close())
	}
	r := &running{db: db, gate: gate.New(l), served: make(chan error, 1)}
	r.life, r.end = context.WithCancel(context.Background())
	e.running = r
	if r.server, err = wire.NewServer(parse, e.options(r)...); err != nil {
		return errors.Join(fmt.Errorf("make postgres: %w", err), e.Kill(ctx))
	}
	go func() { r.served <- r.server.Serve(gathering{r.gate}) }()
	if err := probe(ctx, r.gate); err != nil {
		return errors.Join(fmt.Errorf("probe postgres at %s: %w", l.Addr(), err), e.Kill(ctx))
	}
	return nil
}

func (e *Engine) options(r *running) []wire.OptionFn {
	options := []wire.OptionFn{
		wire.Logger(slog.New(slog.DiscardHandler)),
		wire.MessageBufferSize(MaxMessage),
		wire.GlobalParameters(wire.Parameters{"standard_conforming_strings": "on", "TimeZone": "UTC"}),
		wire.SessionMiddleware(func(ctx context.Context) (context.Context, error) {
			return context.WithValue(ctx, sessionKey{}, &session{engine: e, db: r.db, life: r.life}), nil
		}),
		wire.CloseConn(func(ctx context.Context) error { return sessionOf(ctx).rollback() }),
		wire.TxStatus(func(ctx context.Context) types.ServerStatus { return sessionOf(ctx).status() }),
	}
	if e.cfg.Authenticate == nil {
		return options
	}
	return append(options, wire.SessionAuthStrategy(wire.ClearTextPassword(
		func(ctx context.Context, _, user, password string) (context.Context, bool, error) {
			return ctx, e.cfg.Authenticate(user, password) == nil, nil
		})))
}

func parse(ctx context.Context, q wire.Query) (wire.PreparedStatements, error) {
	return sessionOf(ctx).parse(q)
}

// Stop lets statements in hand be answered, then closes the connections.
func (e *Engine) Stop(ctx context.Context) error {
	r := e.running
	if r == nil {
		return nil
	}
	r.gate.Close()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.server.Close()
	}()
	select {
	case <-stopped:
		return e.end(false)
	case <-ctx.Done():
		err := fmt.Errorf("stop postgres: statements still run: %w", ctx.Err())
		return errors.Join(err, e.end(true))
	}
}

// Kill resets all connections; transactions are rolled back.
func (e *Engine) Kill(context.Context) error {
	if e.running == nil {
		return nil
	}
	return e.end(true)
}

func (e *Engine) end(abrupt bool) error {
	r := e.running
	e.running = nil
	e.forget()
	r.end()
	r.gate.Close()
	r.gate.Drop(abrupt)
	if r.server != nil {
		r.server.Close()
		r.gate.Drop(abrupt) // one that was being accepted
		r.server.Wait()
	}
	return r.db.Close()
}

// Wipe removes the file.
func (e *Engine) Wipe(context.Context) error {
	if e.running != nil {
		return errors.New("wipe postgres: it runs")
	}
	var errs []error
	for _, more := range [...]string{"", "-wal", "-shm"} {
		if err := os.Remove(e.file() + more); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("wipe postgres: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Info says what SQLite behind PostgreSQL's protocol is worth.
func (e *Engine) Info() engine.Info {
	return engine.InfoOf(features.Embedded, e.cfg.Node, engine.Version("modernc.org/sqlite"))
}

// Close stops the engine and removes the file.
func (e *Engine) Close() error {
	ctx := context.Background()
	return errors.Join(e.Kill(ctx), e.Wipe(ctx))
}

// forget drops compiled statements, because tables have changed.
func (e *Engine) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.statements)
}

func syntaxError(err error) error {
	return psqlerr.WithSeverity(psqlerr.WithCode(err, codes.Syntax), psqlerr.LevelError)
}
