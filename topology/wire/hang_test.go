package wire_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/topology/wire"
)

// serveFlood answers six bytes with the same, and "flood\n" with bytes until nobody takes any more,
// which it tells.
func serveFlood(t testing.TB, f wire.Fabric) (full <-chan bool) {
	ln, err := f.Listen("b", 0)
	if err != nil {
		t.Fatal(err)
	}
	all := make(chan bool, 10)
	serve(t, ln, func(c net.Conn) {
		said := make([]byte, 6)
		for {
			if _, err := io.ReadFull(c, said); err != nil {
				return
			}
			if string(said) != "flood\n" {
				c.Write(said)
				continue
			}
			// Several tries in a row that move nothing, so that a slow machine does not count.
			for idle := 0; idle < 5; {
				c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
				if n, _ := c.Write(make([]byte, 1<<20)); n > 0 {
					idle = -1
				}
				idle++
			}
			c.SetWriteDeadline(time.Time{})
			all <- true
		}
	})
	return all
}

// A connection over sockets whose owner does not read keeps Toxiproxy from changing its proxy for
// good. The proxy is then made anew on the same port, with the faults it should have.
func TestProxyThatHangsIsMadeAnew(t *testing.T) {
	if transport != wire.TCP {
		t.Skip("connections in memory hold up no change")
	}
	f := newFabric(t, wire.Options{Marker: mark})
	full := serveFlood(t, f)
	d := f.Dialer(ab, 0)
	within := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	expectReset := func(c net.Conn) {
		t.Helper()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("connection that kept the proxy hanging read %v", err)
		}
	}
	before := addresses(t, d)
	// The owner of this connection does not read what comes.
	c := dial(t, d)
	io.WriteString(c, "flood\n")
	<-full
	slow, err := f.Inject(within(), wire.Fault{
		Wire: ab, Kind: wire.Latency, Latency: time.Millisecond, Replica: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	expectReset(c)
	fresh := dial(t, d)
	if got := fresh.ask("hello"); got != "hello" {
		t.Errorf("over the slow wire: %q", got)
	}
	io.WriteString(fresh, string(mark))
	await(t, "the fault is on the new proxy", func() bool { return slow.Touched() > 0 })
	c = dial(t, d)
	io.WriteString(c, "flood\n")
	<-full
	if err := slow.Heal(within()); err != nil {
		t.Fatal(err)
	}
	expectReset(c)
	if got := dial(t, d).ask("hello"); got != "hello" {
		t.Errorf("after the heal: %q", got)
	}
	if diff := cmp.Diff(before, addresses(t, d)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a -> b"}, names(t, f)); diff != "" {
		t.Error(diff)
	}
}

// serveCounting sends, to each connection, numbers one after the other, and tells when nobody takes any
// more.
func serveCounting(t testing.TB, f wire.Fabric) (full <-chan bool) {
	ln, err := f.Listen("b", 0)
	if err != nil {
		t.Fatal(err)
	}
	all := make(chan bool, 10)
	serve(t, ln, func(c net.Conn) {
		told := false
		for n := range counted {
			line := fmt.Appendln(nil, n)
			for len(line) > 0 {
				c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
				sent, err := c.Write(line)
				line = line[sent:]
				if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
					return
				}
				if err != nil && !told {
					told = true
					all <- true
				}
			}
		}
	})
	return all
}

// counted is how many numbers serveCounting sends: more than fit between the two ends.
const counted = 100_000

// Over connections in memory nobody has to read for a change of the proxy to be made, and every byte
// that was under way comes, once and in order, whatever toxics it went through.
func TestAConnectionThatNobodyReadsHoldsUpNoChange(t *testing.T) {
	if transport == wire.TCP {
		t.Skip("see TestProxyThatHangsIsMadeAnew")
	}
	warned := new(warnings)
	f := newFabric(t, wire.Options{Marker: mark, Log: slog.New(warned)})
	full := serveCounting(t, f)
	c := dial(t, f.Dialer(ab, 0))
	<-full
	first := inject(t, f, wire.Fault{Wire: ab, Kind: wire.Latency, Latency: time.Millisecond, Replica: -1})
	second := inject(t, f, wire.Fault{Wire: ab, Kind: wire.Slicer, Bytes: 512, Replica: -1})
	third := inject(t, f, wire.Fault{Wire: ab, Kind: wire.Timeout, Replica: -1})
	heal(t, first)
	heal(t, third)
	heal(t, second)
	in := bufio.NewScanner(c)
	for n := range counted {
		if !in.Scan() || in.Text() != strconv.Itoa(n) {
			t.Fatalf("line %d is %q: %v", n, in.Text(), in.Err())
		}
	}
	if n := warned.Load(); n > 0 {
		t.Errorf("%d proxies were made anew", n)
	}
}

func addresses(t testing.TB, d wire.Dialer) []string {
	t.Helper()
	addrs, err := d.(wire.Proxied).Addresses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return addrs
}

// While devices talk, give up and come back, each fault bites and is healed within its time: no
// proxy has to be made anew, which would drop connections. Where the far end dies at the moment of
// a heal that may happen; bytes flow again all the same.
func TestFaultsUnderTraffic(t *testing.T) {
	for name, farEndDies := range map[string]bool{
		"traffic/far end stays/nothing made anew":    false,
		"traffic/far end dies with the heal/carries": true,
	} {
		t.Run(name, func(t *testing.T) {
			warned := new(warnings)
			f := newFabric(t, wire.Options{Marker: mark, Log: slog.New(warned)})
			ln := serveEcho(t, f, "b", 0)
			answered := devices(t, f)
			flows := func(when string, kind wire.Kind) {
				from := answered.Load()
				await(t, "traffic "+when+" "+string(kind), func() bool {
					return answered.Load() > from+50
				})
			}
			for _, fault := range harsh {
				flows("before", fault.Kind)
				i := inject(t, f, fault)
				await(t, string(fault.Kind)+" bites", func() bool { return i.Touched() > 10 })
				if farEndDies {
					ln.Close()
					ln = serveEcho(t, f, "b", 0)
				}
				heal(t, i)
				flows("after", fault.Kind)
			}
			if n := warned.Load(); n > 0 && !farEndDies {
				t.Errorf("%d proxies were made anew", n)
			}
		})
	}
}

// harsh are faults that make devices give up.
var harsh = []wire.Fault{
	{Replica: -1, Kind: wire.Latency, Latency: 300 * time.Millisecond},
	{Replica: -1, Kind: wire.Bandwidth, BytesPerSecond: 1000},
	{Replica: -1, Kind: wire.Slicer, Bytes: 5, Latency: 20 * time.Millisecond},
	{Replica: -1, Kind: wire.Timeout},
	{Replica: -1, Kind: wire.Timeout, Direction: wire.Replies},
	{Replica: -1, Kind: wire.Reset},
	{Replica: -1, Kind: wire.LimitData, Bytes: 200},
	{Replica: -1, Kind: wire.SlowClose, Latency: 20 * time.Millisecond},
	{Replica: -1, Kind: wire.Cut},
}

// devices talk over a -> b until the test ends, and come back when they are not answered.
func devices(t *testing.T, f wire.Fabric) (answered *atomic.Int64) {
	answered = new(atomic.Int64)
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for n := range 10 {
		d := f.Dialer(ab, n%2)
		all.Go(func() {
			for ctx.Err() == nil {
				talk(ctx, d, answered)
			}
		})
	}
	t.Cleanup(func() {
		stop()
		all.Wait()
	})
	return answered
}

// talk sends a few messages over one connection, or until one is not answered in time.
func talk(ctx context.Context, d wire.Dialer, answered *atomic.Int64) {
	c, err := d.Dial(ctx)
	if err != nil {
		return
	}
	defer c.Close()
	in := bufio.NewReader(c)
	for range 20 {
		c.SetDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := io.WriteString(c, message); err != nil {
			return
		}
		if _, err := in.ReadString('\n'); err != nil {
			return
		}
		answered.Add(1)
	}
}

// warnings counts what is logged as a warning or worse.
type warnings struct{ atomic.Int64 }

func (w *warnings) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

func (w *warnings) Handle(context.Context, slog.Record) error {
	w.Add(1)
	return nil
}

func (w *warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

func (w *warnings) WithGroup(string) slog.Handler { return w }
