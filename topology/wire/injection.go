package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
)

// injection is a fault in force, on all proxies of its wire that it means.
type injection struct {
	link   *link
	fault  Fault
	toxics []toxic
	ended  atomic.Int64 // connections refused or closed under traffic

	mu     sync.Mutex
	counts []counted
}

// counted is a toxic of ours on one of the library's proxies.
type counted struct {
	on    *toxiproxy.Proxy
	toxic own
}

// own is what all our toxics are.
type own interface{ tolls() *toll }

// releaseWithin is how long what a stall held may take to go through before the stall is removed
// all the same. Connections whose reader has left never get it through.
const releaseWithin = 250 * time.Millisecond

func (f *fabric) Inject(ctx context.Context, fault Fault) (Injection, error) {
	i, err := f.injection(fault)
	if err != nil {
		return nil, fmt.Errorf("inject %q on %q: %w", fault.Name, fault.Wire, err)
	}
	l := i.link
	l.mu.Lock()
	l.faults = append(l.faults, i)
	proxies := l.proxiesOf(fault.Replica)
	l.mu.Unlock()
	if err := each(ctx, proxies, i.inject); err != nil {
		return nil, errors.Join(
			fmt.Errorf("inject %q on %q: %w", fault.Name, fault.Wire, err), i.Heal(ctx))
	}
	return i, nil
}

// injection checks a fault and works out its toxics.
func (f *fabric) injection(fault Fault) (*injection, error) {
	f.mu.Lock()
	l, known := f.links[fault.Wire]
	closed := f.closed
	f.mu.Unlock()
	switch {
	case closed:
		return nil, errClosed
	case fault.Wire.From == AuditFrom:
		return nil, errors.New("audits read over direct paths, which have no faults")
	case !known:
		return nil, errors.New("there is no such wire")
	case fault.Replica < -1:
		return nil, fmt.Errorf("replica %d is not possible: −1 for all, or from 0", fault.Replica)
	}
	switch fault.Direction {
	case "", Requests, Replies, Both:
	default:
		return nil, fmt.Errorf("direction %q is not one of requests, replies, both", fault.Direction)
	}
	id := fmt.Sprintf("%s-%d", pathSafe(fault.Name), f.serial.Add(1))
	toxics, err := fault.toxics(id, f.opt.Marker)
	return &injection{link: l, fault: fault, toxics: toxics}, err
}

func (i *injection) Touched() int64 {
	n := i.ended.Load()
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, c := range i.counts {
		n += c.toxic.tolls().touched.Load()
	}
	return n
}

func (i *injection) Heal(ctx context.Context) error {
	l := i.link
	l.mu.Lock()
	l.faults = slices.DeleteFunc(l.faults, func(o *injection) bool { return o == i })
	proxies := l.proxiesOf(i.fault.Replica)
	l.mu.Unlock()
	if err := each(ctx, proxies, i.heal); err != nil {
		return fmt.Errorf("heal %q on %q: %w", i.fault.Name, i.fault.Wire, err)
	}
	return nil
}

// each does the same to all proxies at once and joins their errors. Proxies that could not be made
// carry nothing and are left out.
func each(ctx context.Context, proxies []*proxy, do func(context.Context, *proxy) error) error {
	errs := make([]error, len(proxies))
	var all sync.WaitGroup
	for n, p := range proxies {
		all.Go(func() {
			if <-p.ready; p.err == nil {
				errs[n] = do(ctx, p)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// inject puts the fault on one proxy.
func (i *injection) inject(ctx context.Context, p *proxy) error {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	if p.retired {
		return errClosed
	}
	p.faults = append(p.faults, i)
	open, used := p.live.open(), p.live.used()
	err := p.change(ctx, i, func(behind *toxiproxy.Proxy) error {
		if i.fault.Kind == Cut {
			p.close(behind)
			return nil
		}
		err := i.addTo(behind)
		p.refit()
		return err
	})
	switch i.fault.Kind {
	case Cut:
		i.ended.Add(used)
	case Reset:
		// The library resets new connections only; those at hand it would end at their next byte.
		i.ended.Add(used)
		for _, c := range open {
			c.reset()
		}
	}
	return err
}

// heal takes the fault from one proxy. Others who changed the proxy through the API may have taken
// it already.
func (i *injection) heal(ctx context.Context, p *proxy) error {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	at := slices.Index(p.faults, i)
	switch {
	case p.retired || at < 0 && p.broken == nil:
		return nil
	case at < 0:
		return p.renew(i)
	}
	p.faults = slices.Delete(p.faults, at, at+1)
	cut := p.faulted(Cut)
	return p.change(ctx, i, func(behind *toxiproxy.Proxy) error {
		if i.fault.Kind != Cut {
			return i.removeFrom(behind, p.refit)
		}
		if cut {
			return nil
		}
		return p.open(behind)
	})
}

// addTo adds the fault's toxics to one of the library's proxies.
func (i *injection) addTo(behind *toxiproxy.Proxy) error {
	for _, t := range i.toxics {
		text, err := json.Marshal(t)
		if err != nil {
			return fmt.Errorf("write toxic %q: %w", t.Name, err)
		}
		added, err := behind.Toxics.AddToxicJson(bytes.NewReader(text))
		if err != nil {
			return fmt.Errorf("add toxic %q to %q: %w", t.Name, behind.Name, err)
		}
		if ours, ok := added.Toxic.(own); ok {
			i.mu.Lock()
			i.counts = append(i.counts, counted{behind, ours})
			i.mu.Unlock()
		}
	}
	return nil
}

// removeFrom removes the fault's toxics, the last one first, so that a meter goes after what it
// counts for. Where our toxics still run afterwards the connection's reader has left.
func (i *injection) removeFrom(behind *toxiproxy.Proxy, refit func()) error {
	i.release(behind)
	for _, t := range slices.Backward(i.toxics) {
		err := behind.Toxics.RemoveToxic(context.Background(), t.Name)
		if err != nil && !errors.Is(err, toxiproxy.ErrToxicNotFound) {
			return fmt.Errorf("remove toxic %q from %q: %w", t.Name, behind.Name, err)
		}
	}
	refit()
	i.abandon(behind)
	return nil
}

// release lets through what the fault holds on one of the library's proxies, or on all for nil:
// first every stall opens, then it waits.
func (i *injection) release(behind *toxiproxy.Proxy) {
	var empty []<-chan struct{}
	for _, c := range i.on(behind) {
		if s, ok := c.toxic.(*stall); ok {
			empty = append(empty, s.release())
		}
	}
	late := time.After(releaseWithin)
	for _, e := range empty {
		select {
		case <-e:
		case <-late:
			return
		}
	}
}

// abandon ends the connections that the fault's own toxics still serve on one of the library's
// proxies, or on all for nil.
func (i *injection) abandon(behind *toxiproxy.Proxy) {
	for _, c := range i.on(behind) {
		c.toxic.tolls().abandon()
	}
}

// on are the fault's own toxics on one of the library's proxies, or on all for nil.
func (i *injection) on(behind *toxiproxy.Proxy) []counted {
	i.mu.Lock()
	defer i.mu.Unlock()
	var all []counted
	for _, c := range i.counts {
		if c.on == behind || behind == nil {
			all = append(all, c)
		}
	}
	return all
}

// means says whether the fault is for a dialling replica.
func (i *injection) means(replica int) bool {
	return i.fault.Replica == -1 || i.fault.Replica == replica
}

// faultsFor are the faults in force for a dialling replica. The link's mutex is held.
func (l *link) faultsFor(replica int) []*injection {
	var all []*injection
	for _, i := range l.faults {
		if i.means(replica) {
			all = append(all, i)
		}
	}
	return all
}

// proxiesOf are the proxies of a dialling replica, of all of them for −1. The link's mutex is held.
func (l *link) proxiesOf(replica int) []*proxy {
	var all []*proxy
	for at, p := range l.proxies {
		if replica == -1 || at.near == replica {
			all = append(all, p)
		}
	}
	return all
}

// refused counts a dial that a cut refused.
func (l *link) refused(replica int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range l.faultsFor(replica) {
		if i.fault.Kind == Cut {
			i.ended.Add(1)
		}
	}
}
