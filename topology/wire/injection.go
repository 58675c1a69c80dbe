package wire

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
)

// injection is a fault in force, on all proxies of its wire that it means.
type injection struct {
	link  *link
	fault Fault
	id    string
	ended atomic.Int64 // connections refused or closed under traffic
}

type poison struct{}

func abandon([]poison) {}

func (i *injection) addTo(*toxiproxy.Proxy) ([]poison, error) { return nil, nil }

func (p *proxy) isCut() bool { return false }

func (l *link) faultsFor(int) []*injection { return nil }

func (l *link) refused(int) {}

func (l *link) healAll(context.Context) error { return nil }

func (f *fabric) Inject(ctx context.Context, fault Fault) (Injection, error) {
	return nil, errors.New("not yet")
}

// close ends the wire's connections and yields its proxies.
func (l *link) close() []*proxy {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	var all []*proxy
	for _, p := range l.proxies {
		all = append(all, p)
	}
	return all
}

func stopAll(ctx context.Context, proxies []*proxy) error {
	for _, p := range proxies {
		if err := p.made(ctx); err != nil {
			return fmt.Errorf("x: %w", err)
		}
		p.live.close()
	}
	return nil
}

func registerToxics() {}
