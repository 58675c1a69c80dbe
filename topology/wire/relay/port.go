package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
)

// Port is all connections of one process to the rest of a topology. It is safe for concurrent use.
type Port struct {
	fabric  wire.Fabric
	node    string
	replica int
	within  *wire.Namespace // where the process is; nil is this machine's own network
	gate    gate

	mu      sync.Mutex
	relays  []*Relay
	own     []net.Listener // that the process opened by Listen
	severed bool
}

// NewPort is the port of one replica of a node, without connections.
func NewPort(fabric wire.Fabric, node string, replica int) *Port {
	return &Port{fabric: fabric, node: node, replica: replica}
}

// NewPortIn is the port of a replica in a network of its own: what it dials listens there, on
// 127.0.0.1, and what it listens on is reached there.
func NewPortIn(fabric wire.Fabric, n wire.Namespace, node string, replica int) *Port {
	return &Port{fabric: fabric, node: node, replica: replica, within: &n}
}

// Out opens the process's way to another node and yields its relays: one, or over Kafka one for
// each broker, because Kafka's clients dial the addresses that brokers tell, which are made those
// of the relays. The far end must listen already when it is Kafka.
func (p *Port) Out(far, protocol string) ([]*Relay, error) {
	w := topology.Wire{From: p.node, To: far}
	dialer := p.fabric.Dialer(w, p.replica)
	name := fmt.Sprintf("relay %s[%d] -> %s", p.node, p.replica, far)
	if protocol == "kafka" {
		return p.brokers(name, dialer)
	}
	r, err := p.open(name, 0, dialer.Dial)
	if err != nil {
		return nil, err
	}
	r.serve()
	return []*Relay{r}, nil
}

// brokers opens a relay for each broker. None serves before all are known.
func (p *Port) brokers(name string, dialer wire.Dialer) ([]*Relay, error) {
	ends := dialer.Endpoints()
	if len(ends) == 0 {
		return nil, fmt.Errorf("open %s: no broker listens yet", name)
	}
	told := map[string]string{}
	var relays []*Relay
	for i, end := range ends {
		r, err := p.open(name, i, func(ctx context.Context) (net.Conn, error) {
			return dialer.DialAddr(ctx, "tcp", end)
		})
		if err != nil {
			return nil, err
		}
		told[end] = r.addr
		relays = append(relays, r)
	}
	given := func() {
		for _, r := range relays {
			r.answered.tell()
		}
	}
	for _, r := range relays {
		r.carriers = func() (requests, replies carrier) { return newKafka(told, given).carriers() }
		r.serve()
	}
	return relays, nil
}

func (p *Port) open(
	name string, number int, dial func(context.Context) (net.Conn, error),
) (*Relay, error) {
	l, err := p.listen(name, number)
	if err != nil {
		return nil, fmt.Errorf("open relay %q: %w", name, err)
	}
	r := newRelay(name, l, dial, &p.gate)
	r.out = true
	p.mu.Lock()
	p.relays = append(p.relays, r)
	p.mu.Unlock()
	return r, nil
}

// DialOut connects the process to one of the relays that Out opened, by its address, as a socket of
// the process's own would, and in memory where the fabric is. The process reaches itself by the
// address of Inside.
func (p *Port) DialOut(ctx context.Context, network, addr string) (net.Conn, error) {
	if !slices.Contains([]string{"tcp", "tcp4"}, network) {
		return nil, net.UnknownNetworkError(network)
	}
	addr = strings.Replace(addr, "localhost:", "127.0.0.1:", 1)
	for _, r := range p.all() {
		if r.addr == addr && r.out {
			w := topology.Wire{From: wire.AuditFrom, To: r.name}
			return p.fabric.Dialer(w, 0).DialAddr(ctx, network, addr)
		}
	}
	port, err := p.fabric.Port(p.inside(), p.replica)
	if err == nil && local(port) == addr {
		return p.Dial(ctx)
	}
	return nil, fmt.Errorf("%s[%d] has no neighbour at %s, only at %s", p.node, p.replica, addr,
		strings.Join(p.addresses(), ", "))
}

// addresses are those of all relays that Out opened.
func (p *Port) addresses() (all []string) {
	for _, r := range p.all() {
		if r.out {
			all = append(all, r.addr)
		}
	}
	return all
}

// listen opens a listener where the process is; the same name and number get the same address each
// time.
func (p *Port) listen(name string, number int) (net.Listener, error) {
	if p.within == nil {
		return p.fabric.Listen(name, number)
	}
	port, err := p.fabric.Port(name, number)
	if err != nil {
		return nil, err
	}
	return p.within.Listen(context.Background(), local(port))
}

// local is an address on 127.0.0.1.
func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Inside reserves the address that the process itself is to listen on: by Listen, or by a socket of
// its own where the fabric has sockets.
func (p *Port) Inside() (string, error) {
	port, err := p.fabric.Port(p.inside(), p.replica)
	if err != nil {
		return "", err
	}
	if p.inMemoryOnly() {
		return local(port), nil // Listen announces it
	}
	return local(port), p.fabric.Announce(p.inside(), p.replica, local(port))
}

// inMemoryOnly says that no socket reaches anybody: the fabric is wire.Virtual, which alone has no
// HTTP API.
func (p *Port) inMemoryOnly() bool { return p.fabric.API() == "" }

// Listen listens for the process itself, at the address of Inside. The port closes the listener when
// the process is severed, if the process has not.
func (p *Port) Listen() (net.Listener, error) {
	l, err := p.fabric.Listen(p.inside(), p.replica)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.severed {
		return nil, errors.Join(fmt.Errorf("listen for %s: %w", p.inside(), net.ErrClosed), l.Close())
	}
	p.own = append(p.own, l)
	return l, nil
}

// inside is the name under which the fabric knows the process itself, behind its node's listener.
func (p *Port) inside() string { return "process of " + p.node }

// Dial connects to the process itself, at the address of Inside, over a path without faults.
func (p *Port) Dial(ctx context.Context) (net.Conn, error) {
	w := topology.Wire{From: wire.AuditFrom, To: p.inside()}
	port, err := p.fabric.Port(p.inside(), p.replica)
	if err != nil {
		return nil, err
	}
	if p.within != nil {
		return p.within.Dial(ctx, local(port))
	}
	return p.fabric.Dialer(w, 0).DialAddr(ctx, "tcp", local(port))
}

// In listens as the node and carries what comes to the process.
func (p *Port) In() (*Relay, error) { return p.InTo(p.Dial) }

// InTo listens as the node and carries what comes to wherever dial leads.
func (p *Port) InTo(dial func(context.Context) (net.Conn, error)) (*Relay, error) {
	l, err := p.fabric.Listen(p.node, p.replica)
	if err != nil {
		return nil, err
	}
	r := newRelay(p.node, l, dial, &p.gate)
	p.mu.Lock()
	p.relays = append(p.relays, r)
	p.mu.Unlock()
	r.serve()
	return r, nil
}

// Freeze holds all bytes, in both directions, until thaw is called; connections stay. It is false
// when they are held already.
func (p *Port) Freeze() (thaw func(), ok bool) {
	if !p.gate.close() {
		return nil, false
	}
	return p.gate.release, true
}

// Sever resets all connections at once and takes no more.
func (p *Port) Sever() {
	for _, r := range p.all() {
		r.Sever()
	}
	p.mu.Lock()
	own := p.own
	p.own, p.severed = nil, true
	p.mu.Unlock()
	for _, l := range own {
		_ = l.Close() // fails where the process has closed it
	}
}

// Close is Sever; it returns when nothing of the port is left.
func (p *Port) Close() error {
	p.Sever()
	var errs []error
	for _, r := range p.all() {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

func (p *Port) all() []*Relay {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*Relay(nil), p.relays...)
}
