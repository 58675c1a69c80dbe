package nats

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/wire/memory"
)

// host listens in memory.
type host struct {
	engine.Host
	now *memory.Listener
}

func (h *host) Listen(int) (net.Listener, error) {
	h.now = memory.Listen(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4222})
	return h.now, nil
}

// start starts an engine in a bubble, where nothing of it may be left at the test's end.
func start(t *testing.T) (*Engine, *host) {
	t.Helper()
	h := &host{}
	made, err := New(engine.Config{
		Node: &topology.Node{Name: "stream"}, Host: h, Dir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := made.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := made.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return made.(*Engine), h
}

// dial is a client that was greeted, and had a ping answered.
func (h *host) dial(t *testing.T) *bufio.Reader {
	t.Helper()
	c, err := h.now.Dial(&net.TCPAddr{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, "CONNECT {\"verbose\":false}\r\nPING\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for _, want := range []string{"INFO ", "PONG"} {
		line, err := r.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, want) {
			t.Fatalf("read %q, %v; want %s", line, err, want)
		}
	}
	return r
}

func TestEnd(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*testing.T, *Engine) error
		want error // that clients meet
	}{
		"stop/in order": {
			func(t *testing.T, e *Engine) error { return e.Stop(t.Context()) }, io.EOF},
		"kill/reset": {
			func(t *testing.T, e *Engine) error { return e.Kill(t.Context()) }, syscall.ECONNRESET},
		"disconnect all/in order": {func(t *testing.T, e *Engine) error {
			n, err := e.DisconnectAll(t.Context())
			if n != 2 {
				t.Errorf("disconnected %d clients, want 2", n)
			}
			return errors.Join(err, e.Stop(t.Context()))
		}, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, h := start(t)
				clients := []*bufio.Reader{h.dial(t), h.dial(t)}
				if err := c.end(t, e); err != nil {
					t.Fatal(err)
				}
				for _, r := range clients {
					if _, err := io.Copy(io.Discard, r); !errors.Is(err, c.want) &&
						(err != nil || c.want != io.EOF) {
						t.Errorf("client met %v, want %v", err, c.want)
					}
				}
				if _, err := h.now.Dial(&net.TCPAddr{}); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("dialled a server that has ended: %v", err)
				}
				if err := e.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				h.dial(t)
			})
		})
	}
}

// TestSlowClient wants a server at work while one of its clients reads nothing: its bytes wait.
func TestSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h := start(t)
		c, err := h.now.Dial(&net.TCPAddr{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		const size = 512 << 10 // eight times what waits in a connection
		message := "PUB a 524288\r\n" + strings.Repeat("x", size) + "\r\n"
		all := "CONNECT {\"verbose\":false}\r\nSUB a 1\r\n" + message + message
		if _, err := io.WriteString(c, all); err != nil {
			t.Fatal(err)
		}
		h.dial(t)
		if n, err := io.CopyN(io.Discard, c, 2*size); err != nil {
			t.Errorf("read %d bytes: %v", n, err)
		}
	})
}
