package simulators

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/faultline-sim/faultline/topology/wire"
	"github.com/faultline-sim/faultline/topology/wire/tracked"
)

// Lines are the connections that one replica or member holds, kept so that all of them can be
// dropped at once, as a crash or a lost network drops them. The zero value is ready and safe for
// concurrent use.
type Lines struct {
	mu      sync.Mutex
	held    tracked.Set[*line]
	severed bool
}

// Over is a dialer whose connections these lines keep.
func (l *Lines) Over(d wire.Dialer) wire.Dialer { return &linesDialer{Dialer: d, lines: l} }

// Drop resets all connections and says how many there were; new ones may be dialled.
func (l *Lines) Drop() int {
	l.mu.Lock()
	held := l.held.All()
	l.held = tracked.Set[*line]{}
	l.mu.Unlock()
	for _, c := range held {
		c.reset()
	}
	return len(held)
}

// Sever drops all connections and refuses new ones from now on.
func (l *Lines) Sever() {
	l.mu.Lock()
	l.severed = true
	l.mu.Unlock()
	l.Drop()
}

func (l *Lines) keep(c net.Conn) (net.Conn, error) {
	kept := &line{Conn: c, lines: l}
	l.mu.Lock()
	severed := l.severed
	if !severed {
		l.held.Add(kept)
	}
	l.mu.Unlock()
	if severed {
		kept.reset()
		return nil, fmt.Errorf("dial: %w", net.ErrClosed)
	}
	return kept, nil
}

func (l *Lines) forget(c *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held.Remove(c)
}

type linesDialer struct {
	wire.Dialer
	lines *Lines
}

// Dial connects to one of the far end's replicas.
func (d *linesDialer) Dial(ctx context.Context) (net.Conn, error) {
	c, err := d.Dialer.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return d.lines.keep(c)
}

// DialAddr connects to the proxy that stands before addr.
func (d *linesDialer) DialAddr(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := d.Dialer.DialAddr(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return d.lines.keep(c)
}

// line is one connection.
type line struct {
	net.Conn
	lines *Lines
}

// Alive says whether an idle connection may be used again, as far as can be told.
func (c *line) Alive() bool {
	known, ok := c.Conn.(interface{ Alive() bool })
	return !ok || known.Alive()
}

// Close closes in order.
func (c *line) Close() error {
	c.lines.forget(c)
	return c.Conn.Close()
}

// reset closes without order: the far end sees a reset.
func (c *line) reset() {
	if abrupt, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok {
		abrupt.SetLinger(0)
	}
	c.Conn.Close()
}
