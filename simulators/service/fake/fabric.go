// Package fake is what a simulator talks to in a test under virtual time: a fabric of in-memory
// pipes, a bus that is every broker and a shelf that is every store.
//
// It is for tests of the run step of load → plan → run → check → report only. It promises the
// contracts of wire.Fabric, conn.Broker and conn.Store as far as the simulators lean on them, and
// opens no socket. No package but tests may import it.
package fake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"syscall"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
)

// Fabric connects nodes by pipes. The zero value is ready.
type Fabric struct {
	mu        sync.Mutex
	listeners map[string]map[int]*listener
}

var _ wire.Fabric = (*Fabric)(nil)

// Listen opens the listener of one replica.
func (f *Fabric) Listen(node string, replica int) (net.Listener, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listeners == nil {
		f.listeners = map[string]map[int]*listener{}
	}
	if f.listeners[node] == nil {
		f.listeners[node] = map[int]*listener{}
	}
	l := &listener{
		fabric: f, node: node, replica: replica,
		coming: make(chan net.Conn), closed: make(chan struct{}),
	}
	f.listeners[node][replica] = l
	return l, nil
}

// Dialer is the way over a wire.
func (f *Fabric) Dialer(w topology.Wire, _ int) wire.Dialer { return &dialer{fabric: f, wire: w} }

// Announce has nothing to do: nothing listens by itself.
func (f *Fabric) Announce(string, int, string) error { return nil }

// Port is not asked for.
func (f *Fabric) Port(string, int) (int, error) { return 0, errors.New("no ports here") }

// Inject is not possible: faults are the bus's and the shelf's.
func (f *Fabric) Inject(context.Context, wire.Fault) (wire.Injection, error) {
	return nil, errors.New("no faults on these wires")
}

// Bytes are not counted.
func (f *Fabric) Bytes(topology.Wire) (requests, replies int64) { return 0, 0 }

// API is none.
func (f *Fabric) API() string { return "" }

// Close has nothing to do.
func (f *Fabric) Close() error { return nil }

type dialer struct {
	fabric *Fabric
	wire   topology.Wire
	mu     sync.Mutex
	turn   int
}

// Dial connects to a replica that listens, in turn.
func (d *dialer) Dial(ctx context.Context) (net.Conn, error) { return d.dial(ctx, d.pick()) }

// Next is the address of a replica that listens, in turn.
func (d *dialer) Next() string {
	l := d.pick()
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// DialAddr connects to the replica that has an address.
func (d *dialer) DialAddr(ctx context.Context, _, addr string) (net.Conn, error) {
	d.fabric.mu.Lock()
	var found *listener
	for _, l := range d.fabric.listeners[d.wire.To] {
		if l.Addr().String() == addr {
			found = l
		}
	}
	d.fabric.mu.Unlock()
	return d.dial(ctx, found)
}

func (d *dialer) pick() *listener {
	d.mu.Lock()
	turn := d.turn
	d.turn++
	d.mu.Unlock()
	return d.fabric.pick(d.wire.To, turn)
}

func (d *dialer) dial(ctx context.Context, l *listener) (net.Conn, error) {
	if l == nil {
		return nil, fmt.Errorf("dial %s: %w", d.wire, syscall.ECONNREFUSED)
	}
	ours, theirs := net.Pipe()
	select {
	case l.coming <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, fmt.Errorf("dial %s: %w", d.wire, syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *Fabric) pick(node string, turn int) *listener {
	f.mu.Lock()
	defer f.mu.Unlock()
	replicas := slices.Sorted(maps.Keys(f.listeners[node]))
	if len(replicas) == 0 {
		return nil
	}
	return f.listeners[node][replicas[turn%len(replicas)]]
}

// Endpoints are none.
func (d *dialer) Endpoints() []string { return nil }

// Wire is the wire dialled over.
func (d *dialer) Wire() topology.Wire { return d.wire }

type listener struct {
	fabric  *Fabric
	node    string
	replica int
	coming  chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

// Accept waits for a connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.coming:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close refuses connections from now on.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.fabric.mu.Lock()
		defer l.fabric.mu.Unlock()
		if l.fabric.listeners[l.node][l.replica] == l {
			delete(l.fabric.listeners[l.node], l.replica)
		}
	})
	return nil
}

// Addr tells the replica by its port, counted from 1.
func (l *listener) Addr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: l.replica + 1}
}
