package wire_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
)

// mark is a run's marker, and message a line that carries it once.
const (
	mark    = wire.Marker("00-0123456789abcdef")
	message = "traceparent: 00-0123456789abcdef0000000000000001-0000000000000001-01\n"
)

var ab = topology.Wire{From: "a", To: "b"}

func newFabric(t testing.TB, opt wire.Options) wire.Fabric {
	t.Helper()
	f, err := wire.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// serveEcho answers each line with the replica's name and the line, until the test ends.
func serveEcho(t testing.TB, f wire.Fabric, node string, replica int) net.Listener {
	t.Helper()
	ln, err := f.Listen(node, replica)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, ln, func(c net.Conn) {
		for in := bufio.NewScanner(c); in.Scan(); {
			if _, err := fmt.Fprintf(c, "%s[%d] %s\n", node, replica, in.Text()); err != nil {
				return
			}
		}
	})
	return ln
}

// serve handles each connection of a listener until the test ends, and leaves nothing behind.
func serve(t testing.TB, ln net.Listener, handle func(net.Conn)) {
	var all sync.WaitGroup
	var mu sync.Mutex
	conns := map[net.Conn]bool{}
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns[c] = true
			mu.Unlock()
			all.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for c := range conns {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
}

// line is a connection that is spoken over line by line.
type line struct {
	net.Conn
	in *bufio.Reader
}

func dial(t testing.TB, d wire.Dialer) *line {
	t.Helper()
	c, err := d.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &line{c, bufio.NewReader(c)}
}

// ask sends a line and yields the answer, or the error's text.
func (l *line) ask(say string) string {
	if _, err := io.WriteString(l, strings.TrimSuffix(say, "\n")+"\n"); err != nil {
		return err.Error()
	}
	return l.hear()
}

func (l *line) hear() string {
	got, err := l.in.ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSuffix(got, "\n")
}

func TestDialGoesRoundTheReplicasThatListen(t *testing.T) {
	f := newFabric(t, wire.Options{})
	for replica := range 3 {
		serveEcho(t, f, "b", replica)
	}
	down, err := f.Listen("b", 3)
	if err != nil {
		t.Fatal(err)
	}
	down.Close()
	d := f.Dialer(ab, 0)
	var got []string
	for range 6 {
		got = append(got, dial(t, d).ask("hi"))
	}
	want := []string{"b[0] hi", "b[1] hi", "b[2] hi", "b[0] hi", "b[0] hi", "b[1] hi"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDialBeforeTheFarEndListens(t *testing.T) {
	f := newFabric(t, wire.Options{})
	d := f.Dialer(ab, 0)
	_, err := d.Dial(context.Background())
	if err == nil || err.Error() != `dial "a -> b": "b" does not listen yet` {
		t.Fatalf("dial gave %v", err)
	}
	serveEcho(t, f, "b", 0)
	if got := dial(t, d).ask("late"); got != "b[0] late" {
		t.Errorf("answer is %q", got)
	}
}
