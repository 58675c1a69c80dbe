package wire

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync/atomic"
)

// node is where a node's replicas are to be found. The fabric's mutex guards it.
type node struct {
	ends []*end // by replica; nil where none was announced
}

// end is one replica's own address. It is not changed: announcing anew makes a new one.
type end struct {
	replica int
	addr    string
	// down is set while the replica's listener is known to be closed.
	down *atomic.Bool
}

func (f *fabric) Port(name string, replica int) (int, error) {
	port, err := f.ports.of(endName(name, replica))
	if err != nil {
		return 0, fmt.Errorf("reserve port for %q: %w", endName(name, replica), err)
	}
	return port, nil
}

func (f *fabric) Listen(name string, replica int) (net.Listener, error) {
	port, err := f.Port(name, replica)
	if err != nil {
		return nil, err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	var config net.ListenConfig
	ln, err := config.Listen(context.Background(), "tcp4", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for %q: %w", endName(name, replica), err)
	}
	e := &end{replica: replica, addr: addr, down: new(atomic.Bool)}
	if err := f.announce(name, e); err != nil {
		ln.Close()
		return nil, err
	}
	return &listener{Listener: ln, down: e.down}, nil
}

func (f *fabric) Announce(name string, replica int, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" || port == "" || port == "0" {
		return fmt.Errorf("announce %q at %q: want host:port", endName(name, replica), addr)
	}
	return f.announce(name, &end{replica: replica, addr: addr, down: new(atomic.Bool)})
}

func (f *fabric) announce(name string, e *end) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return fmt.Errorf("announce %q: %w", endName(name, e.replica), errClosed)
	}
	if e.replica < 0 {
		return fmt.Errorf("announce %q: replicas count from 0", endName(name, e.replica))
	}
	n, ok := f.ends[name]
	if !ok {
		n = &node{}
		f.ends[name] = n
	}
	// A new slice each time: readers keep the one they got.
	ends := slices.Clone(n.ends)
	for len(ends) <= e.replica {
		ends = append(ends, nil)
	}
	ends[e.replica] = e
	n.ends = ends
	return nil
}

// endsOf are the announced replicas of a node, in order.
func (f *fabric) endsOf(name string) ([]*end, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errClosed
	}
	n, ok := f.ends[name]
	if !ok {
		return nil, nil
	}
	if !slices.Contains(n.ends, nil) {
		return n.ends, nil
	}
	var known []*end
	for _, e := range n.ends {
		if e != nil {
			known = append(known, e)
		}
	}
	return known, nil
}

// listener tells the fabric when it is closed, so that dials go to replicas that still listen.
type listener struct {
	net.Listener
	down *atomic.Bool
}

func (l *listener) Close() error {
	l.down.Store(true)
	return l.Listener.Close()
}

// endName is "stream[2]".
func endName(name string, replica int) string {
	return name + "[" + strconv.Itoa(replica) + "]"
}
