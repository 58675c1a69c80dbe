package memory

import (
	"net"
	"sync"
	"syscall"
)

// backlog is how many connections wait to be accepted, as a kernel's queue would hold them.
const backlog = 4096

// Listener takes connections that Dial makes. It is safe for concurrent use.
type Listener struct {
	addr    net.Addr
	arrived chan arrival
	closed  chan struct{}

	mu   sync.Mutex
	down bool
}

// arrival is a connection to be accepted, or why there is none.
type arrival struct {
	conn net.Conn
	err  error
}

// Listen is a listener at an address that nothing else knows.
func Listen(addr net.Addr) *Listener {
	return &Listener{addr: addr, arrived: make(chan arrival, backlog), closed: make(chan struct{})}
}

// Dial makes a connection that the listener will accept; from is the dialler's own address. A closed
// listener refuses, and so does one whose queue is full.
func (l *Listener) Dial(from net.Addr) (*Conn, error) { return l.DialSlow(from, nil, nil) }

// DialSlow is Dial of a SlowPair.
func (l *Listener) DialSlow(from net.Addr, takes, back Takes) (*Conn, error) {
	near, far := SlowPair(from, l.addr, takes, back)
	if err := l.Take(far); err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Source: from, Addr: l.addr, Err: err}
	}
	return near, nil
}

// Take puts a connection in the queue, from which it is accepted.
func (l *Listener) Take(c net.Conn) error { return l.take(arrival{conn: c}) }

// Fail makes one Accept fail, in turn. It is for who puts connections of another listener in the
// queue and meets an error there.
func (l *Listener) Fail(err error) error { return l.take(arrival{err: err}) }

func (l *Listener) take(a arrival) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return syscall.ECONNREFUSED
	}
	select {
	case l.arrived <- a:
		return nil
	default:
		return syscall.ECONNREFUSED
	}
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, l.refusal()
	default:
	}
	select {
	case a := <-l.arrived:
		return a.conn, a.err
	case <-l.closed:
		return nil, l.refusal()
	}
}

func (l *Listener) refusal() error {
	return &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
}

// Close refuses new connections and resets those that nobody has accepted.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return l.refusal()
	}
	l.down = true
	close(l.closed)
	for {
		select {
		case a := <-l.arrived:
			if a.err == nil {
				reset(a.conn)
			}
		default:
			return nil
		}
	}
}

func reset(c net.Conn) {
	if abrupt, ok := c.(interface{ SetLinger(sec int) error }); ok {
		abrupt.SetLinger(0) // fails only where the connection has ended already
	}
	c.Close()
}

// Addr is where it listens.
func (l *Listener) Addr() net.Addr { return l.addr }
