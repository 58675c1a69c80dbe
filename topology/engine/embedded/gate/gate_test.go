package gate

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener in memory: its connections and errors come from a channel.
type pipes struct {
	accept chan func() (net.Conn, error)
	closed chan struct{}
}

func newPipes() *pipes {
	return &pipes{accept: make(chan func() (net.Conn, error)), closed: make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case next := <-p.accept:
		return next()
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func TestGateOutlivesAFailedAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		g := New(l)
		defer g.Close()
		near, far := net.Pipe()
		defer near.Close()
		l.accept <- func() (net.Conn, error) { return nil, errors.New("too many open files") }
		go func() { l.accept <- func() (net.Conn, error) { return far, nil } }()
		begun := time.Now()
		c, err := g.Accept()
		if err != nil || time.Since(begun) != retryAccept {
			t.Fatalf("accepted %v, %v after %v; want a connection after %v", c, err,
				time.Since(begun), retryAccept)
		}
		c.Close()
	})
}

func TestGateDropsWhatIsOpenAndForgetsWhatIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(newPipes())
		var near, far [3]net.Conn
		for i := range far {
			dialled := make(chan net.Conn)
			go func() {
				c, err := g.Probe(t.Context())
				if err != nil {
					t.Error(err)
				}
				dialled <- c
			}()
			accepted, err := g.Accept()
			if err != nil {
				t.Fatal(err)
			}
			near[i], far[i] = <-dialled, accepted
		}
		far[0].Close()
		g.Close()
		if _, err := g.Probe(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a closed gate was passed: %v", err)
		}
		// An engine's own connections are dropped like all others, but they are no clients.
		if got := [3]int{g.Open(), g.Drop(true), g.Open()}; got != [3]int{2, 0, 0} {
			t.Errorf("open, clients dropped, open then: %v; want 2, 0, 0", got)
		}
		for _, c := range near {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("read from a dropped connection: %v, want EOF", err)
			}
		}
	})
}
