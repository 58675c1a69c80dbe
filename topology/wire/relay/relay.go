// Package relay lets a program that dials by itself go over the fabric's wires: it listens where
// the program dials, and carries each connection over a wire, through its Toxiproxy proxy.
//
// It lives in the run step of load → plan → run → check → report and opens all its listeners and
// connections by the fabric. It promises that what crosses a relay is counted and faulted as any
// dialled connection is, that one relay's wire never carries another's bytes, and that nothing is
// left after Close. It imports nothing of simulators, scenarios or reports.
package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/faultline-sim/faultline/topology/wire/tracked"
)

// carrier carries bytes one way until they end.
type carrier func(to io.Writer, from io.Reader) error

// Relay is one listener and the connections that came in by it. It is safe for concurrent use.
type Relay struct {
	name     string // that the fabric knows its listener by
	addr     string
	out      bool // the process dials it
	listener net.Listener
	dial     func(ctx context.Context) (net.Conn, error)
	// carriers makes the two ways of one connection, and tells answered by itself; nil copies.
	carriers func() (requests, replies carrier)
	gate     *gate
	answered answered

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu    sync.Mutex
	pairs tracked.Set[*pair]
	shut  bool // connections are reset at once
}

// pair is one connection of the program and the one that it is carried on by.
type pair struct{ near, far net.Conn }

func newRelay(
	name string, l net.Listener, dial func(context.Context) (net.Conn, error), g *gate,
) *Relay {
	r := &Relay{
		name: name, addr: l.Addr().String(), listener: l, dial: dial, gate: g,
		answered: answered{told: make(chan struct{})},
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// serve accepts until the listener closes.
func (r *Relay) serve() {
	r.all.Go(func() {
		for {
			near, err := r.listener.Accept()
			if err != nil {
				return
			}
			r.all.Go(func() { r.carry(near) })
		}
	})
}

// carry dials on and carries both ways until both have ended. Where nobody takes the connection it
// is reset, which is as near to a refusal as a connection that was accepted can come.
func (r *Relay) carry(near net.Conn) {
	far, err := r.dial(r.ctx)
	if err != nil {
		reset(near)
		return
	}
	p := &pair{near, far}
	if !r.keep(p) {
		p.reset()
		return
	}
	defer r.forget(p)
	requests, replies := carrier(copyBytes), r.answered.by(copyBytes)
	if r.carriers != nil {
		requests, replies = r.carriers()
	}
	var ways sync.WaitGroup
	ways.Go(func() { r.way(p, far, near, requests) })
	ways.Go(func() { r.way(p, near, far, replies) })
	ways.Wait()
	far.Close()
	near.Close()
}

// way carries one way. An end in order is passed on as such; anything else ends the whole.
func (r *Relay) way(p *pair, to, from net.Conn, carry carrier) {
	err := carry(to, gated{from, r.gate, r.ctx})
	if err == nil {
		err = closeWrite(to)
	}
	if err != nil {
		p.reset()
	}
}

func copyBytes(to io.Writer, from io.Reader) error {
	_, err := io.Copy(struct{ io.Writer }{to}, from)
	return err
}

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// reset ends both connections without order.
func (p *pair) reset() {
	reset(p.near)
	reset(p.far)
}

func reset(c net.Conn) {
	if abrupt, ok := c.(interface{ SetLinger(sec int) error }); ok {
		abrupt.SetLinger(0)
	}
	c.Close()
}

func (r *Relay) keep(p *pair) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shut {
		return false
	}
	r.pairs.Add(p)
	return true
}

func (r *Relay) forget(p *pair) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pairs.Remove(p)
}

// Address is where the program dials.
func (r *Relay) Address() string { return r.addr }

// Answered is closed when the far end has answered anything at all or, over Kafka, when a consumer
// has been given its share by any broker.
func (r *Relay) Answered() <-chan struct{} { return r.answered.told }

// Sever resets all connections and takes no more.
func (r *Relay) Sever() {
	r.mu.Lock()
	r.shut = true
	pairs := r.pairs.All()
	r.mu.Unlock()
	r.cancel()
	r.listener.Close()
	for _, p := range pairs {
		p.reset()
	}
}

// Close is Sever; it returns when nothing of the relay is left.
func (r *Relay) Close() error {
	r.Sever()
	r.all.Wait()
	return nil
}

// answered tells once that replies have begun.
type answered struct {
	once sync.Once
	told chan struct{}
}

func (a *answered) tell() { a.once.Do(func() { close(a.told) }) }

// by tells at the first reply that is carried.
func (a *answered) by(carry carrier) carrier {
	return func(to io.Writer, from io.Reader) error {
		return carry(to, first{from, a.tell})
	}
}

// first calls told with every read that yields anything.
type first struct {
	io.Reader
	told func()
}

func (f first) Read(b []byte) (int, error) {
	n, err := f.Reader.Read(b)
	if n > 0 {
		f.told()
	}
	return n, err
}

// errForeign is an address that belongs to nobody at the far end of a wire.
var errForeign = errors.New("the far end told an address that is none of its own")
