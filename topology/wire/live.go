package wire

import (
	"context"
	"sync"

	"github.com/faultline-sim/faultline/topology/wire/tracked"
)

// live are the connections of one proxy that are not seen off yet. The zero value is ready.
type live struct {
	leaving sync.WaitGroup // goroutines that see connections off

	mu     sync.Mutex
	conns  tracked.Set[*conn]
	closed bool
	none   chan struct{} // closed when the last connection is removed; nil where nobody waits
}

// add is false when the fabric is closed.
func (l *live) add(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.conns.Add(c)
	return true
}

func (l *live) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns.Remove(c)
	if l.none != nil && l.conns.Len() == 0 {
		close(l.none)
		l.none = nil
	}
}

// background runs a goroutine that close waits for; it is false, and nothing runs, when closed.
func (l *live) background(run func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.leaving.Go(run)
	return true
}

// open are the connections that their owners have not closed.
func (l *live) open() []*conn {
	var open []*conn
	for _, c := range l.all() {
		c.mu.Lock()
		if c.ended == nil {
			open = append(open, c)
		}
		c.mu.Unlock()
	}
	return open
}

// used is how many of the open connections have carried bytes.
func (l *live) used() int64 {
	var n int64
	for _, c := range l.open() {
		if c.used.Load() {
			n++
		}
	}
	return n
}

func (l *live) all() []*conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conns.All()
}

// wait returns when no connection is left, or the context is done.
func (l *live) wait(ctx context.Context) {
	l.mu.Lock()
	none := make(chan struct{})
	if l.none = none; l.conns.Len() == 0 {
		close(none)
		l.none = nil
	}
	l.mu.Unlock()
	select {
	case <-none:
	case <-ctx.Done():
	}
}

// close ends all connections at once and waits for what sees others off.
func (l *live) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	for _, c := range l.all() {
		c.duplex.Close()
	}
	l.leaving.Wait()
}
