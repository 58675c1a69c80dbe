package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/faultline-sim/faultline/topology"
)

// AuditFrom is the From of wires that audits read back over. They get no proxy and cannot be
// faulted.
const AuditFrom = "@audit"

// Options is what a fabric is made from. The zero value works; Touched then counts only
// connections.
type Options struct {
	Transport Transport // "" is TCP
	Marker    Marker
	Log       *slog.Logger // nil is silent
	// APIPort is where Toxiproxy's HTTP API listens; 0 takes a free port.
	APIPort int
	// OnControl is told of each change that somebody made through the HTTP API. The fabric's own
	// changes do not go that way and are not told. It may be called from several goroutines.
	OnControl func(Change)
	// Wires are those that Inject takes beside those that a Dialer was asked for.
	Wires []topology.Wire
	// Replicas is how many replicas a node has at most, so that its proxies' names say which one;
	// nil, or an answer below 2, leaves replica 0 without its number.
	Replicas func(node string) int
}

// controlWithin is the time a change of a proxy gets where the context sets none. Adding or
// removing a toxic takes about a millisecond.
const controlWithin = 2 * time.Second

// fabric is the Fabric over TCP and Toxiproxy.
type fabric struct {
	opt    Options
	log    *slog.Logger
	ports  *ports
	server *server
	serial atomic.Int64 // numbers injections

	mu     sync.Mutex
	ends   map[string]*node
	links  map[topology.Wire]*link
	closed bool
}

// New starts a fabric without nodes or wires. Many may live in one process.
func New(opt Options) (Fabric, error) {
	registerToxics()
	if opt.Transport == "" {
		opt.Transport = TCP
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	f := &fabric{
		opt: opt, log: opt.Log, ports: newPorts(opt.Transport),
		ends: map[string]*node{}, links: map[topology.Wire]*link{},
	}
	for _, w := range opt.Wires {
		f.link(w)
	}
	f.server = newServer()
	if opt.Transport == Virtual {
		return f, nil
	}
	if err := f.serve(); err != nil {
		return nil, errors.Join(err, f.ports.close())
	}
	return f, nil
}

func (f *fabric) API() string { return f.server.addr }

func (f *fabric) Bytes(w topology.Wire) (requests, replies int64) {
	f.mu.Lock()
	l, ok := f.links[w]
	f.mu.Unlock()
	if !ok {
		return 0, 0
	}
	return l.requests.Load(), l.replies.Load()
}

// link is the wire's state, begun when it is first asked for.
func (f *fabric) link(w topology.Wire) *link {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, ok := f.links[w]
	if !ok {
		l = &link{fabric: f, wire: w, proxies: map[pair]*proxy{}, turns: map[int]*atomic.Uint64{}}
		f.links[w] = l
	}
	return l
}

func (f *fabric) Close() error {
	links := f.shut()
	if links == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), controlWithin)
	defer cancel()
	var proxies []*proxy
	var faults []*injection
	for _, l := range links {
		proxies = append(proxies, l.close()...)
		faults = append(faults, l.inForce()...)
	}
	errs := []error{f.server.shut(ctx)}
	for _, i := range faults {
		i.release(nil)
	}
	errs = append(errs, f.server.clear(ctx, func() { settle(ctx, proxies) }))
	for _, p := range proxies {
		p.joints.close()
	}
	for _, i := range faults {
		i.abandon(nil)
	}
	for _, p := range proxies {
		p.live.close()
	}
	if err := errors.Join(append(errs, f.ports.close())...); err != nil {
		return fmt.Errorf("close fabric: %w", err)
	}
	return nil
}

// settle waits a little for connections to end by themselves, which leaves nothing behind in the
// library, before the proxies end them.
func settle(ctx context.Context, proxies []*proxy) {
	ctx, cancel := context.WithTimeout(ctx, releaseWithin)
	defer cancel()
	for _, p := range proxies {
		if p.err == nil {
			p.refit() // nobody has turns any more
		}
	}
	for _, p := range proxies {
		p.live.wait(ctx)
	}
}

// shut marks the fabric closed and yields its wires; nil when it was closed before.
func (f *fabric) shut() []*link {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	links := make([]*link, 0, len(f.links))
	for _, l := range f.links {
		links = append(links, l)
	}
	return links
}

// errClosed is answered to whoever asks a closed fabric for a connection or a listener.
var errClosed = fmt.Errorf("fabric is closed: %w", net.ErrClosed)

// proxies are all proxies so far, by name.
func (f *fabric) proxies() []*proxy {
	f.mu.Lock()
	links := slices.Collect(maps.Values(f.links))
	f.mu.Unlock()
	var all []*proxy
	for _, l := range links {
		l.mu.Lock()
		all = append(all, l.proxiesOf(-1)...)
		l.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b *proxy) int { return cmp.Compare(a.name, b.name) })
	return all
}
