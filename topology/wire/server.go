package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
)

// server is the library's server: the collection of proxies and the HTTP API over it.
type server struct {
	addr string
	http http.Server
	done chan struct{} // closed when the API no longer serves
	// now is the server that answers. The library cannot take a proxy that hangs out of its
	// collection, so dropping one means another server with all the other proxies.
	now atomic.Pointer[served]

	mu      sync.Mutex // orders add and drop
	proxies map[string]*toxiproxy.Proxy
}

// served is one server of the library and its routes, which may be asked for only once.
type served struct {
	api    *toxiproxy.ApiServer
	routes http.Handler
}

// newServer is a server whose API nobody can ask yet.
func newServer() *server {
	s := &server{done: make(chan struct{}), proxies: map[string]*toxiproxy.Proxy{}}
	s.now.Store(newServed())
	return s
}

// serve opens the HTTP API.
func (f *fabric) serve() error {
	const owner = "toxiproxy api"
	if port := f.opt.APIPort; port != 0 {
		if err := f.ports.fix(owner, port); err != nil {
			return fmt.Errorf("start toxiproxy api: %w", err)
		}
	}
	port, err := f.ports.of(owner)
	if err != nil {
		return fmt.Errorf("start toxiproxy api: %w", err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp4", addr)
	if err != nil {
		return fmt.Errorf("start toxiproxy api: %w", err)
	}
	s := f.server
	s.addr = addr
	s.http.Handler = f.observe(f.opt.OnControl)
	s.http.ReadHeaderTimeout = 10 * time.Second
	go func() {
		defer close(s.done)
		if err := s.http.Serve(ln); err != http.ErrServerClosed {
			f.log.Error("toxiproxy api stopped", "error", err)
		}
	}()
	return nil
}

func newServed() *served {
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	return &served{api: api, routes: api.Routes()}
}

// newProxy is a proxy that does not listen yet.
func (s *server) newProxy(name, listen, upstream string) *toxiproxy.Proxy {
	return toxiproxy.NewProxy(s.now.Load().api, name, listen, upstream)
}

// add shows the proxy in the API.
func (s *server) add(p *toxiproxy.Proxy) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.now.Load().api.Collection.Add(p, false); err != nil {
		return fmt.Errorf("show proxy %q in the api: %w", p.Name, err)
	}
	s.proxies[p.Name] = p
	return nil
}

// drop takes a proxy out of the API without touching it. Proxies that others made through the API
// are dropped with it when the library's collection hangs too.
func (s *server) drop(p *toxiproxy.Proxy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.proxies, p.Name)
	old, next := s.now.Load(), newServed()
	others := s.proxies
	if old.api.Collection.TryRLock() {
		old.api.Collection.RUnlock()
		others = old.api.Collection.Proxies()
		delete(others, p.Name)
	}
	for _, o := range others {
		// The new collection is empty and starts nothing: there is nothing to fail.
		_ = next.api.Collection.Add(o, false)
	}
	s.now.Store(next)
}

// shut ends the API.
func (s *server) shut(ctx context.Context) error {
	if s.addr == "" {
		return nil
	}
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("stop toxiproxy api: %w", errors.Join(err, s.http.Close()))
	}
	<-s.done
	return err
}

// clear takes away all toxics, calls settle, which may wait for connections to end, and stops all
// proxies, those made by others included.
func (s *server) clear(ctx context.Context, settle func()) error {
	cleared := make(chan error, 1)
	collection := s.now.Load().api.Collection
	go func() {
		for _, p := range collection.Proxies() {
			removeAll(p.Toxics)
		}
		settle()
		cleared <- collection.Clear()
	}()
	select {
	case err := <-cleared:
		return err
	case <-ctx.Done():
		return fmt.Errorf("stop proxies: one of them hangs: %w", ctx.Err())
	}
}

// removeAll removes a proxy's toxics, the last one first: the library loses count of a link's
// toxics when it removes one whose part of the connection has ended, and would leave those behind
// it running.
func removeAll(c *toxiproxy.ToxicCollection) {
	for _, t := range slices.Backward(c.GetToxicArray()) {
		// Whoever removed it in between has done what is wanted.
		_ = c.RemoveToxic(context.Background(), t.(*toxics.ToxicWrapper).Name)
	}
}
