package wire

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/faultline-sim/faultline/topology"
)

// link is one wire with its proxies, its faults and its byte counts. Bytes of connections that
// others make to its proxies are not counted.
type link struct {
	fabric            *fabric
	wire              topology.Wire
	requests, replies atomic.Int64

	mu      sync.Mutex
	closed  bool
	proxies map[pair]*proxy
	faults  []*injection           // in force, oldest first
	turns   map[int]*atomic.Uint64 // by dialling replica: whose turn it is among the far replicas
}

// pair is a dialling replica and a far replica.
type pair struct{ near, far int }

// Proxied is what a Dialer of a proxied wire can do beside dialling.
type Proxied interface {
	// Addresses are the addresses of the wire's proxies for this replica, by far replica, for
	// programs that dial by themselves. The proxies are made if they do not exist yet.
	Addresses(ctx context.Context) ([]string, error)
}

// close ends the wire's connections and yields its proxies, which no fault changes from now on.
func (l *link) close() []*proxy {
	l.mu.Lock()
	l.closed = true
	proxies := l.proxiesOf(-1)
	l.mu.Unlock()
	for _, p := range proxies {
		<-p.ready
		p.turn <- struct{}{}
		p.retired = true
		<-p.turn
		for _, c := range p.live.open() {
			c.Close()
		}
	}
	return proxies
}

// inForce are the wire's faults.
func (l *link) inForce() []*injection {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.faults)
}

// dialer is one replica's Dialer.
type dialer struct {
	link    *link
	replica int
	turn    *atomic.Uint64
}

var _ Proxied = (*dialer)(nil)

func (f *fabric) Dialer(w topology.Wire, replica int) Dialer {
	l := f.link(w)
	l.mu.Lock()
	defer l.mu.Unlock()
	turn, ok := l.turns[replica]
	if !ok {
		turn = new(atomic.Uint64)
		l.turns[replica] = turn
	}
	return &dialer{link: l, replica: replica, turn: turn}
}

func (d *dialer) Wire() topology.Wire { return d.link.wire }

func (d *dialer) Endpoints() []string {
	ends, err := d.link.fabric.endsOf(d.link.wire.To)
	if err != nil {
		return nil
	}
	addrs := make([]string, len(ends))
	for i, e := range ends {
		addrs[i] = e.addr
	}
	return addrs
}

func (d *dialer) Next() string {
	ends, err := d.ends()
	if err != nil {
		return ""
	}
	return pick(ends, d.turn.Add(1)-1).addr
}

// Dial goes round the announced replicas. Those whose listener was closed are left out while any
// other listens, as a service registry would do. Where none listens the connection is accepted by
// the proxy and closed at once, which is Toxiproxy's way of refusing.
func (d *dialer) Dial(ctx context.Context) (net.Conn, error) {
	ends, err := d.ends()
	if err != nil {
		return nil, err
	}
	return d.dial(ctx, pick(ends, d.turn.Add(1)-1))
}

// pick is the next end in turn that listens, or the next one if none does.
func pick(ends []*end, turn uint64) *end {
	n := uint64(len(ends))
	for i := range n {
		if e := ends[(turn+i)%n]; !e.down.Load() {
			return e
		}
	}
	return ends[turn%n]
}

func (d *dialer) DialAddr(ctx context.Context, network, addr string) (net.Conn, error) {
	ends, err := d.ends()
	if err != nil {
		return nil, err
	}
	for _, e := range ends {
		if sameAddr(e.addr, addr) {
			return d.dial(ctx, e)
		}
	}
	return nil, fmt.Errorf("dial %q at %q: no replica of %q has this address, they have %s",
		d.link.wire, addr, d.link.wire.To, strings.Join(d.Endpoints(), ", "))
}

func sameAddr(a, b string) bool {
	if a == b {
		return true
	}
	const name, number = "localhost:", "127.0.0.1:"
	return strings.Replace(a, name, number, 1) == strings.Replace(b, name, number, 1)
}

func (d *dialer) Addresses(ctx context.Context) ([]string, error) {
	ends, err := d.ends()
	if err != nil {
		return nil, err
	}
	addrs := make([]string, len(ends))
	for i, e := range ends {
		if d.direct() {
			addrs[i] = e.addr
			continue
		}
		p, err := d.link.proxy(ctx, pair{d.replica, e.replica}, e.addr)
		if err != nil {
			return nil, err
		}
		addrs[i] = p.addr
	}
	return addrs, nil
}

// ends are the far end's replicas, or an error that says that there are none yet.
func (d *dialer) ends() ([]*end, error) {
	ends, err := d.link.fabric.endsOf(d.link.wire.To)
	if err == nil && len(ends) == 0 {
		err = fmt.Errorf("%q does not listen yet", d.link.wire.To)
	}
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", d.link.wire, err)
	}
	return ends, nil
}

func (d *dialer) dial(ctx context.Context, e *end) (net.Conn, error) {
	if d.direct() {
		s, err := d.link.direct(ctx, e, d.replica)
		if err != nil {
			return nil, fmt.Errorf("dial %q: %w", d.link.wire, err)
		}
		return newConn(d.link, s, nil)
	}
	p, err := d.link.proxy(ctx, pair{d.replica, e.replica}, e.addr)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", d.link.wire, err)
	}
	s, err := p.dial(ctx, e)
	if err != nil {
		if ctx.Err() == nil {
			d.link.refused(d.replica)
		}
		return nil, fmt.Errorf("dial %q: %w", d.link.wire, err)
	}
	return newConn(d.link, s, &p.live)
}

// dial connects to the proxy.
func (p *proxy) dial(ctx context.Context, e *end) (duplex, error) {
	if p.link.fabric.opt.Transport == TCP {
		return dialTCP(ctx, p.addr)
	}
	s, ok, err := p.dialMemory(ctx, e)
	if !ok {
		return dialTCP(ctx, p.addr)
	}
	return s, err
}

// direct connects to a replica itself.
func (l *link) direct(ctx context.Context, e *end, replica int) (duplex, error) {
	if e.memory == nil {
		return dialTCP(ctx, e.addr)
	}
	takes, back := l.takes(endName(l.wire.From, replica) + " -> " + endName(l.wire.To, e.replica))
	return e.memory.DialSlow(e.memory.Addr(), takes, back)
}

func (d *dialer) direct() bool { return d.link.wire.From == AuditFrom }

// DialBeyond connects to an address outside of the topology, on no wire. It is for what stands
// behind a node's listener, whose callers have come over their wires.
func DialBeyond(ctx context.Context, addr string) (net.Conn, error) {
	var dial net.Dialer
	conn, err := dial.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", addr, err)
	}
	return conn, nil
}

func dialTCP(ctx context.Context, addr string) (duplex, error) {
	// Keep-alive probes say nothing on loopback and cost three system calls a connection.
	dial := net.Dialer{KeepAlive: -1}
	conn, err := dial.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return conn.(duplex), nil
}
