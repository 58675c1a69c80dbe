package wire

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
)

// proxy is one Toxiproxy proxy: between one dialling replica and one far replica of a wire. Its
// name and address stay the same for the fabric's life; the library's proxy behind them may be
// made anew.
type proxy struct {
	link *link
	pair pair
	name string
	live live

	ready chan struct{} // closed when the proxy is made or err is set
	err   error
	port  int
	addr  string

	far    string       // the far replica's address; guarded by link.mu
	shut   atomic.Bool  // it refuses connections
	joints joints       // its connections in memory
	serial atomic.Int64 // numbers them

	now atomic.Pointer[toxiproxy.Proxy] // the library's; changed by the turn's holder

	// turn is held by whoever changes the proxy; it guards the fields below.
	turn    chan struct{}
	faults  []*injection // that it should have
	broken  error        // why the last try to make it anew did not succeed
	retired bool         // the fabric is being closed
}

// proxy is the proxy of a pair, made when it is first asked for. A fault in force on the wire is in
// force on it before its first byte.
func (l *link) proxy(ctx context.Context, at pair, far string) (*proxy, error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, errClosed
	}
	p, known := l.proxies[at]
	if !known {
		p = &proxy{
			link: l, pair: at, name: l.proxyName(at), far: far,
			ready: make(chan struct{}), turn: make(chan struct{}, 1),
			faults: l.faultsFor(at.near),
		}
		l.proxies[at] = p
	}
	moved := p.far != far
	p.far = far
	l.mu.Unlock()
	if !known {
		p.make()
	}
	if err := p.made(ctx); err != nil {
		return nil, err
	}
	if moved {
		return p, p.pointAt(ctx, far)
	}
	return p, nil
}

// made waits until the proxy is made.
func (p *proxy) made(ctx context.Context) error {
	select {
	case <-p.ready:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// proxyName is "worker1[1] -> stream[2]"; the number of a replica that is the only one is left
// out.
func (l *link) proxyName(at pair) string {
	count := l.fabric.opt.Replicas
	side := func(node string, replica int) string {
		if replica == 0 && (count == nil || count(node) < 2) {
			return node
		}
		return endName(node, replica)
	}
	return pathSafe(side(l.wire.From, at.near) + " -> " + side(l.wire.To, at.far))
}

// pathSafe replaces in a name what would end or change a path of the HTTP API; names that differ
// stay different.
func pathSafe(name string) string {
	safe := strings.NewReplacer("/", "_", "?", "_", "#", "_", "%", "_").Replace(name)
	if safe == name {
		return name
	}
	sum := fnv.New32a()
	sum.Write([]byte(name))
	return fmt.Sprintf("%s ~%08x", safe, sum.Sum32())
}

// make starts the proxy with the faults it was begun with.
func (p *proxy) make() {
	defer close(p.ready)
	port, err := p.link.fabric.ports.of("proxy " + p.name)
	if err == nil {
		p.port, p.addr = port, local(port).String()
		err = p.start()
	}
	if err == nil {
		return
	}
	p.err = fmt.Errorf("make proxy %q: %w", p.name, err)
	p.link.mu.Lock()
	delete(p.link.proxies, p.pair)
	p.link.mu.Unlock()
}

// start makes the library's proxy, with its faults, and lets it listen unless it is cut.
func (p *proxy) start() error {
	p.link.mu.Lock()
	far := p.far
	p.link.mu.Unlock()
	server := p.link.fabric.server
	behind := server.newProxy(p.name, p.addr, far)
	p.now.Store(behind)
	for _, i := range p.faults {
		if err := i.addTo(behind); err != nil {
			return err
		}
	}
	p.shut.Store(true)
	if !p.faulted(Cut) {
		if err := p.open(behind); err != nil {
			return err
		}
	}
	return server.add(behind)
}

// library is the library's proxy, nil before it is made.
func (p *proxy) library() *toxiproxy.Proxy { return p.now.Load() }

// open lets one of the library's proxies take connections.
func (p *proxy) open(behind *toxiproxy.Proxy) error {
	p.shut.Store(false)
	if p.link.fabric.opt.Transport == Virtual {
		return nil
	}
	if err := behind.Start(); !errors.Is(err, toxiproxy.ErrProxyAlreadyStarted) {
		return err
	}
	return nil
}

// close ends the connections over one of the library's proxies and refuses new ones.
func (p *proxy) close(behind *toxiproxy.Proxy) {
	p.shut.Store(true)
	behind.Stop()
	p.joints.close()
}

// pointAt leads the proxy to another address of its far replica.
func (p *proxy) pointAt(ctx context.Context, far string) error {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	to := &toxiproxy.Proxy{Listen: p.addr, Upstream: far, Enabled: !p.faulted(Cut)}
	return p.change(ctx, nil, func(tp *toxiproxy.Proxy) error {
		p.joints.close()
		if p.link.fabric.opt.Transport == Virtual {
			tp.Upstream = far
			return nil
		}
		return tp.Update(to)
	})
}

// faulted says whether a fault of a kind is in force. The turn is held.
func (p *proxy) faulted(kind Kind) bool {
	return slices.ContainsFunc(p.faults, func(i *injection) bool { return i.fault.Kind == kind })
}

// change runs one change of the library's proxy, for the holder of the turn, who has set before
// which faults the proxy should have; about is the fault that the change is about, or nil.
// Toxiproxy may hang in a change for good when a connection's reader has gone; past the context's
// deadline (or controlWithin) the proxy is made anew on the same port. A cancelled context is no
// reason to leave a fault in place, so only its deadline counts.
func (p *proxy) change(
	ctx context.Context, about *injection, do func(*toxiproxy.Proxy) error,
) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(controlWithin)
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	done, behind := make(chan error, 1), p.library()
	go func() { done <- do(behind) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return p.renew(about)
	}
}

// renew leaves the library's proxy to itself and makes another on the same port. Connections are
// reset.
func (p *proxy) renew(about *injection) error {
	f, old := p.link.fabric, p.library()
	f.log.Warn("proxy hangs and is made anew", "proxy", p.name)
	for _, i := range append(slices.Clone(p.faults), about) {
		if i != nil {
			i.abandon(old)
		}
	}
	// Stop closes the listener at once, even where it then waits for the change that hangs.
	go old.Stop()
	p.joints.close()
	for _, c := range p.live.open() {
		c.reset()
	}
	f.server.drop(old)
	ctx, cancel := context.WithTimeout(context.Background(), controlWithin)
	defer cancel()
	p.broken = untilFree(ctx, p.start)
	return p.broken
}

// untilFree repeats listen while the port's old listener is still being closed.
func untilFree(ctx context.Context, listen func() error) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		err := listen()
		if !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}
