package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/faultline-sim/faultline/topology/wire/memory"
)

// node is where a node's replicas are to be found. The fabric's mutex guards it.
type node struct {
	ends []*end // by replica; nil where none was announced
}

// end is one replica's own address. It is not changed: announcing anew makes a new one.
type end struct {
	replica int
	addr    string
	memory  *memory.Listener // nil where it is reached over TCP alone
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
	ln, err := f.listener(port)
	if err != nil {
		return nil, fmt.Errorf("listen for %q: %w", endName(name, replica), err)
	}
	if f.listens(name, replica) {
		return nil, fmt.Errorf("listen for %q: %w", endName(name, replica), syscall.EADDRINUSE)
	}
	e := &end{
		replica: replica, addr: local(port).String(), memory: ln.memory, down: new(atomic.Bool),
	}
	ln.down = e.down
	if err := f.announce(name, e); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// listens says that a replica listens in memory alone already; sockets know by themselves.
func (f *fabric) listens(name string, replica int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.ends[name]
	return f.opt.Transport == Virtual && n != nil && replica < len(n.ends) &&
		n.ends[replica] != nil && !n.ends[replica].down.Load()
}

// listener listens at a port, by what the fabric's transport is.
func (f *fabric) listener(port int) (*listener, error) {
	l := &listener{}
	if f.opt.Transport != TCP {
		l.memory = memory.Listen(local(port))
		l.Listener = l.memory
	}
	if f.opt.Transport == Virtual {
		return l, nil
	}
	var config net.ListenConfig
	socket, err := config.Listen(context.Background(), "tcp4", local(port).String())
	if err != nil {
		return nil, err
	}
	if l.socket = socket; l.memory == nil {
		l.Listener = socket
		return l, nil
	}
	l.forwarding.Go(l.forward)
	return l, nil
}

// local is an address on this machine.
func local(port int) *net.TCPAddr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }

func (f *fabric) Announce(name string, replica int, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" || port == "" || port == "0" {
		return fmt.Errorf("announce %q at %q: want host:port", endName(name, replica), addr)
	}
	if f.opt.Transport == Virtual {
		return fmt.Errorf("announce %q at %q: it listens on a socket of its own, which nobody reaches "+
			"in virtual time", endName(name, replica), addr)
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
	net.Listener                  // what Accept takes from
	memory       *memory.Listener // nil over TCP
	socket       net.Listener     // nil over Virtual
	forwarding   sync.WaitGroup
	down         *atomic.Bool
}

// forward puts what comes to the socket among what comes in memory.
func (l *listener) forward() {
	for {
		c, err := l.socket.Accept()
		if err == nil {
			err = l.memory.Take(c)
			if err != nil {
				c.Close()
			}
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if l.memory.Fail(err) != nil {
			return
		}
	}
}

func (l *listener) Close() error {
	l.down.Store(true)
	if l.socket == nil || l.memory == nil {
		return l.Listener.Close()
	}
	err := errors.Join(l.socket.Close(), l.memory.Close())
	l.forwarding.Wait()
	return err
}

// endName is "stream[2]".
func endName(name string, replica int) string {
	return name + "[" + strconv.Itoa(replica) + "]"
}
