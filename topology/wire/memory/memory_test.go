package memory_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"

	"github.com/faultline-sim/faultline/topology/wire/memory"
)

var (
	here  = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000}
	there = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 20000}
)

// TestConnIsAConn holds a connection to what the standard library's own are held to.
func TestConnIsAConn(t *testing.T) {
	nettest.TestConn(t, func() (near, far net.Conn, stop func(), err error) {
		a, b := memory.Pair(here, there)
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}

func TestConnIsAConnBehindAListener(t *testing.T) {
	nettest.TestConn(t, func() (near, far net.Conn, stop func(), err error) {
		l := memory.Listen(there)
		a, err := l.Dial(here)
		if err != nil {
			return nil, nil, nil, err
		}
		b, err := l.Accept()
		return a, b, func() { a.Close(); b.Close(); l.Close() }, err
	})
}

// ends says what each end meets, after something was done to the near one.
func TestEnds(t *testing.T) {
	for name, test := range map[string]struct {
		do               func(near, far *memory.Conn)
		reads, writes    error // of the far end
		left             string
		nearReads, nearW error
	}{
		"close/nothing unread/what was sent, then the end": {
			do:    func(near, _ *memory.Conn) { near.Write([]byte("hi")); near.Close() },
			reads: io.EOF, writes: syscall.EPIPE, left: "hi",
			nearReads: net.ErrClosed, nearW: net.ErrClosed,
		},
		"close/bytes unread/its writer meets a reset": {
			do:    func(near, far *memory.Conn) { far.Write([]byte("unread")); near.Close() },
			reads: io.EOF, writes: syscall.ECONNRESET,
			nearReads: net.ErrClosed, nearW: net.ErrClosed,
		},
		"close write/one half/the other goes on": {
			do:    func(near, _ *memory.Conn) { near.Write([]byte("hi")); near.CloseWrite() },
			reads: io.EOF, left: "hi", nearW: syscall.EPIPE,
		},
		"abort/bytes under way/lost": {
			do:    func(near, _ *memory.Conn) { near.Write([]byte("lost")); near.Abort() },
			reads: syscall.ECONNRESET, writes: syscall.ECONNRESET,
			nearReads: net.ErrClosed, nearW: net.ErrClosed,
		},
		"linger 0 and close/bytes under way/lost": {
			do: func(near, _ *memory.Conn) {
				near.Write([]byte("lost"))
				near.SetLinger(0)
				near.Close()
			},
			reads: syscall.ECONNRESET, writes: syscall.ECONNRESET,
			nearReads: net.ErrClosed, nearW: net.ErrClosed,
		},
		"nothing/open/alive": {do: func(_, _ *memory.Conn) {}},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := memory.Pair(here, there)
			test.do(near, far)
			if got, want := far.Alive(), test.reads == nil; got != want {
				t.Errorf("the far end is alive: %v", got)
			}
			expect(t, "far write", write(far), test.writes)
			expect(t, "near write", write(near), test.nearW)
			if test.reads == nil {
				return
			}
			got, err := read(far)
			if got != test.left {
				t.Errorf("the far end read %q, want %q", got, test.left)
			}
			expect(t, "far read", err, test.reads)
			if test.nearReads != nil {
				_, err := read(near)
				expect(t, "near read", err, test.nearReads)
			}
		})
	}
}

func write(c net.Conn) error { _, err := c.Write([]byte("x")); return err }

func read(c net.Conn) (string, error) {
	var all strings.Builder
	b := make([]byte, 1)
	for {
		n, err := c.Read(b)
		all.Write(b[:n])
		if err != nil {
			return all.String(), err
		}
	}
}

func expect(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) || want == nil && got != nil {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestAWriterIsHeldUpByAFullRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := memory.Pair(here, there)
		sent := bytes.Repeat([]byte("0123456789abcdef"), 16<<10) // 256 KiB
		near.SetWriteDeadline(time.Now().Add(time.Minute))
		n, err := near.Write(sent)
		expect(t, "a write nobody reads", err, os.ErrDeadlineExceeded)
		if n < 32<<10 || n > 128<<10 {
			t.Errorf("a ring holds %d bytes", n)
		}
		near.SetWriteDeadline(time.Time{})
		go func() {
			near.Write(sent[n:])
			near.Close()
		}()
		got, err := io.ReadAll(far)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes arrived of %d, or others: %v", len(got), len(sent), err)
		}
	})
}

// TestWriteToWhileTheRingGrows: what is handed on is not moved by what comes meanwhile.
func TestWriteToWhileTheRingGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := memory.Pair(here, there)
		sent := make([]byte, 300<<10)
		for i := range sent {
			sent[i] = byte(i * i >> 8)
		}
		go func() {
			for rest := sent; len(rest) > 0; {
				n := min(len(rest), 700)
				near.Write(rest[:n])
				rest = rest[n:]
			}
			near.Close()
		}()
		var got slow
		if _, err := far.WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), sent) {
			t.Errorf("%d bytes arrived of %d, or others: %v", got.Len(), len(sent), err)
		}
	})
}

// slow takes its time, and looks at what it was given only then.
type slow struct{ bytes.Buffer }

func (s *slow) Write(b []byte) (int, error) {
	if len(b) > memory.PieceMost {
		return 0, errors.New("a piece is too large")
	}
	time.Sleep(time.Millisecond)
	return s.Buffer.Write(b)
}

func TestDeadlineThatMovesWhileSomebodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, _ := memory.Pair(here, there)
		begun := time.Now()
		near.SetReadDeadline(begun.Add(time.Hour))
		go func() {
			time.Sleep(time.Second)
			near.SetReadDeadline(begun.Add(3 * time.Second))
		}()
		err := func() error { _, err := near.Read(make([]byte, 1)); return err }()
		if took := time.Since(begun); !errors.Is(err, os.ErrDeadlineExceeded) || took != 3*time.Second {
			t.Errorf("read ended with %v after %v, want a passed deadline after 3s", err, took)
		}
	})
}

func TestListenerRefusesWhenItIsClosed(t *testing.T) {
	l := memory.Listen(there)
	waiting, err := l.Dial(here)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := l.Dial(here); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial: %v, want a refusal", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v, want closed", err)
	}
	if _, err := waiting.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection that waited to be accepted: %v, want a reset", err)
	}
}

func BenchmarkRoundTrip256(b *testing.B) {
	near, far := memory.Pair(here, there)
	go func() {
		buf := make([]byte, 256)
		for {
			n, err := far.Read(buf)
			if err != nil {
				return
			}
			far.Write(buf[:n])
		}
	}()
	buf := make([]byte, 256)
	for b.Loop() {
		near.Write(buf)
		io.ReadFull(near, buf)
	}
	near.Close()
}

func takes(d time.Duration) memory.Takes { return func([]byte) time.Duration { return d } }

func TestASlowPairTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := memory.SlowPair(here, there, takes(3*time.Millisecond), takes(5*time.Millisecond))
		begun := time.Now()
		go func() {
			near.Write([]byte("a"))
			time.Sleep(time.Millisecond)
			near.Write([]byte("b"))
			near.Close()
		}()
		var came []string
		b := make([]byte, 10)
		for {
			n, err := far.Read(b)
			came = append(came, string(b[:n])+" "+time.Since(begun).String())
			if err != nil {
				break
			}
		}
		if got, want := strings.Join(came, ", "), "a 3ms, b 4ms,  4ms"; got != want {
			t.Errorf("came %q, want %q", got, want)
		}
	})
}

func TestASlowPairIsAConn(t *testing.T) {
	nettest.TestConn(t, func() (near, far net.Conn, stop func(), err error) {
		a, b := memory.SlowPair(here, there, takes(30*time.Microsecond), takes(20*time.Microsecond))
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}
