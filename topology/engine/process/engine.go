package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/features"
)

// Engine is one broker or store in a child process; what is its product's own is in product. It
// implements what New says.
type Engine struct {
	cfg     engine.Config
	program program
	product product
	ports   []int // of 127.0.0.1; clients dial the first
	child   atomic.Pointer[child]
	version atomic.Pointer[string] // nil before the first answer
}

// product is what makes a program the broker or store of one protocol.
type product struct {
	ports int    // how many it listens at
	asked string // what the probe asks, for messages
	// files are its configuration by path below the engine's folder, written anew at each start.
	files func() map[string]string
	// command is what is started, given where its program was found.
	command func(path string) command
	// probe asks whether a client would be answered, over a connection of its own.
	probe func(c net.Conn) error
}

// command is how a program is started.
type command struct {
	path string
	args []string
	env  map[string]string // beside what it inherits
	drop []string          // begins the names of variables that it does not inherit
}

// Where a program's files are, below the engine's folder.
const (
	confDir = "conf"
	homeDir = "home"
	dataDir = "data"
	tempDir = "tmp"
	logFile = "output.log"
)

// stopWithin is how long an orderly stop may take where the context does not say.
const stopWithin = 30 * time.Second

func newEngine(cfg engine.Config, p program) *Engine { return &Engine{cfg: cfg, program: p} }

// Start starts the program and returns when it answers.
func (e *Engine) Start(ctx context.Context) error {
	if e.child.Load() != nil {
		return fmt.Errorf("start %s: it runs already", e.name())
	}
	path, err := e.program.find()
	if err != nil {
		return err
	}
	if err := e.prepare(); err != nil {
		return fmt.Errorf("prepare %s: %w", e.name(), err)
	}
	log, err := openOutput(e.at(logFile))
	if err != nil {
		return err
	}
	c, err := startChild(e.product.command(path), e.cfg.Dir, log)
	if err != nil {
		return fmt.Errorf("start %q: %w", path, err)
	}
	e.child.Store(c)
	if err := e.ready(ctx, c); err != nil {
		return errors.Join(err, e.Kill(ctx))
	}
	return e.cfg.Host.Announce(0, net.JoinHostPort("127.0.0.1", strconv.Itoa(e.ports[0])))
}

// prepare reserves the ports and writes what the program is configured with.
func (e *Engine) prepare() error {
	for i := len(e.ports); i < e.product.ports; i++ {
		port, err := e.cfg.Host.Port(i)
		if err != nil {
			return err
		}
		e.ports = append(e.ports, port)
	}
	for _, dir := range []string{confDir, homeDir, dataDir, tempDir} {
		if err := os.MkdirAll(e.at(dir), 0o700); err != nil {
			return err
		}
	}
	for name, text := range e.product.files() {
		if err := os.MkdirAll(filepath.Dir(e.at(name)), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(e.at(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// at is a path in the engine's folder.
func (e *Engine) at(elements ...string) string {
	return filepath.Join(append([]string{e.cfg.Dir}, elements...)...)
}

// Stop asks the program to end and keeps what it stored. One that does not end before the context's
// deadline is killed, and that is an error; so it is when it had ended unasked.
func (e *Engine) Stop(ctx context.Context) error {
	c := e.child.Load()
	if c == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	unasked := c.hasEnded()
	asked := c.ask()
	select {
	case <-c.ended:
	case <-ctx.Done():
		if !c.hasEnded() {
			asked = errors.New("it did not end in time and was killed")
		}
	}
	if unasked {
		asked = fmt.Errorf("it had ended unasked: %s", c.lastWords())
	}
	if err := errors.Join(asked, e.Kill(ctx)); err != nil {
		return fmt.Errorf("stop %s: %w", e.name(), err)
	}
	return nil
}

// Kill ends the program and all that it has started as by kill -9, and returns when they are gone.
// It does so even when the context is over.
func (e *Engine) Kill(context.Context) error {
	c := e.child.Load()
	if c == nil {
		return nil
	}
	if err := c.kill(); err != nil {
		return fmt.Errorf("kill %s: %w", e.name(), err)
	}
	e.child.Store(nil)
	return nil
}

// Wipe removes what the program stored.
func (e *Engine) Wipe(context.Context) error {
	if e.child.Load() != nil {
		return fmt.Errorf("wipe %s: it runs", e.name())
	}
	for _, dir := range []string{dataDir, tempDir} {
		if err := os.RemoveAll(e.at(dir)); err != nil {
			return fmt.Errorf("wipe %s: %w", e.name(), err)
		}
	}
	return nil
}

func (e *Engine) name() string { return e.Info().Name }

// Info says what the program is worth. Its version is known once it has answered.
func (e *Engine) Info() engine.Info {
	version := "unknown"
	if v := e.version.Load(); v != nil {
		version = *v
	}
	return engine.InfoOf(features.Process, e.cfg.Node, version)
}

// Close kills what runs and removes all files.
func (e *Engine) Close() error {
	if err := e.Kill(context.Background()); err != nil {
		return err
	}
	for _, name := range []string{confDir, homeDir, dataDir, tempDir, logFile} {
		if err := os.RemoveAll(e.at(name)); err != nil {
			return fmt.Errorf("remove files of %s: %w", e.name(), err)
		}
	}
	return nil
}

var (
	_ engine.Engine  = (*Engine)(nil)
	_ engine.Pauser  = (*Engine)(nil)
	_ engine.Metered = (*Engine)(nil)
)
