package wire_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
)

// pair is a fabric with a dialler of a -> b and an echo at b.
func echoFabric(t testing.TB) (wire.Fabric, wire.Dialer) {
	f := newFabric(t, wire.Options{Marker: mark})
	serveEcho(t, f, "b", 0)
	return f, f.Dialer(ab, 0)
}

func inject(t testing.TB, f wire.Fabric, fault wire.Fault) wire.Injection {
	t.Helper()
	if fault.Wire == (topology.Wire{}) {
		fault.Wire = ab
	}
	fault.Name = t.Name()
	i, err := f.Inject(t.Context(), fault)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func heal(t testing.TB, i wire.Injection) {
	t.Helper()
	if err := i.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// await waits until a condition holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("%s: test ended first", what)
		case <-late:
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

func expectTouched(t testing.TB, i wire.Injection, want int64) {
	t.Helper()
	if got := i.Touched(); got != want {
		t.Errorf("touched %d, want %d", got, want)
	}
}

func TestFaultsThatPassBytes(t *testing.T) {
	for name, fault := range map[string]wire.Fault{
		"latency":   {Kind: wire.Latency, Latency: 5 * time.Millisecond},
		"bandwidth": {Kind: wire.Bandwidth, BytesPerSecond: 100_000},
		"slicer":    {Kind: wire.Slicer, Bytes: 10, Latency: time.Millisecond},
	} {
		for direction, touched := range map[wire.Direction]int64{
			wire.Requests: 2, wire.Replies: 2, wire.Both: 4,
		} {
			t.Run(name+"/"+string(direction)+"/all arrives and is counted", func(t *testing.T) {
				f, d := echoFabric(t)
				before := dial(t, d)
				want := "b[0] " + strings.TrimSpace(message)
				before.ask("hello")
				fault.Direction, fault.Replica = direction, -1
				i := inject(t, f, fault)
				during := dial(t, d)
				got := []string{before.ask(message), during.ask(message), during.ask("no message")}
				expectTouched(t, i, touched)
				heal(t, i)
				got = append(got, before.ask(message), during.ask(message), dial(t, d).ask(message))
				expectTouched(t, i, touched)
				wants := []string{want, want, "b[0] no message", want, want, want}
				if diff := cmp.Diff(wants, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// A generous order, no threshold: what goes over the slow wire arrives behind what was sent later
// over the other wire to the same listener.
func TestLatencyOnOneWireLeavesAnotherAlone(t *testing.T) {
	f, d := echoFabric(t)
	other := f.Dialer(topology.Wire{From: "c", To: "b"}, 0)
	addr := d.Endpoints()[0]
	open := func(d wire.Dialer) net.Conn {
		c, err := d.DialAddr(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	slow, fast := open(d), open(other)
	i := inject(t, f, wire.Fault{Kind: wire.Latency, Latency: time.Hour, Replica: -1})
	io.WriteString(slow, message)
	io.WriteString(fast, "quick\n")
	got := make([]byte, len("b[0] quick\n"))
	if _, err := io.ReadFull(fast, got); err != nil || string(got) != "b[0] quick\n" {
		t.Fatalf("other wire answered %q, %v", got, err)
	}
	await(t, "message enters the slow wire", func() bool { return i.Touched() == 1 })
	heal(t, i)
	want := "b[0] " + message
	got = make([]byte, len(want))
	if _, err := io.ReadFull(slow, got); err != nil || string(got) != want {
		t.Fatalf("healed wire answered %q, %v", got, err)
	}
}

func TestTimeoutHoldsUntilTheHeal(t *testing.T) {
	for name, direction := range map[string]wire.Direction{
		"requests": wire.Requests, "replies": wire.Replies, "both": wire.Both,
	} {
		t.Run("timeout/"+name+"/held bytes arrive on the same connection", func(t *testing.T) {
			f, d := echoFabric(t)
			old := dial(t, d)
			old.ask("hello")
			i := inject(t, f, wire.Fault{Kind: wire.Timeout, Direction: direction, Replica: -1})
			fresh := dial(t, d)
			io.WriteString(old, message)
			io.WriteString(fresh, message+message)
			await(t, "all is held", func() bool { return i.Touched() == 3 })
			old.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := old.Read(make([]byte, 1)); err == nil {
				t.Error("a byte came through")
			}
			old.SetReadDeadline(time.Time{})
			old.in.Reset(old)
			heal(t, i)
			want := "b[0] " + strings.TrimSpace(message)
			got := []string{old.hear(), fresh.hear(), fresh.hear(), old.ask("more")}
			if diff := cmp.Diff([]string{want, want, want, "b[0] more"}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What a connection sent before its owner closed it arrives too, and then its end.
func TestTimeoutHoldsTheCloseBehindTheBytes(t *testing.T) {
	f := newFabric(t, wire.Options{Marker: mark})
	ln, err := f.Listen("b", 0)
	if err != nil {
		t.Fatal(err)
	}
	all := make(chan string, 1)
	serve(t, ln, func(c net.Conn) {
		text, _ := io.ReadAll(c)
		all <- string(text)
	})
	d := f.Dialer(ab, 0)
	c := dial(t, d)
	i := inject(t, f, wire.Fault{Kind: wire.Timeout, Replica: -1})
	io.WriteString(c, message)
	c.Close()
	await(t, "message is held", func() bool { return i.Touched() == 1 })
	select {
	case text := <-all:
		t.Errorf("the far end saw %q and the close", text)
	default:
	}
	heal(t, i)
	if text := <-all; text != message {
		t.Errorf("the far end saw %q", text)
	}
}

func TestTimeoutHoldsABoundedAmount(t *testing.T) {
	f := newFabric(t, wire.Options{Marker: mark})
	ln, err := f.Listen("b", 0)
	if err != nil {
		t.Fatal(err)
	}
	const size = 32 << 20
	total := make(chan int64, 1)
	serve(t, ln, func(c net.Conn) {
		n, _ := io.Copy(io.Discard, c)
		total <- n
	})
	c := dial(t, f.Dialer(ab, 0))
	i := inject(t, f, wire.Fault{Kind: wire.Timeout, Replica: -1})
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, size))
		wrote <- err
	}()
	await(t, "some is written", func() bool { n, _ := f.Bytes(ab); return n > 0 || len(wrote) == 0 })
	select {
	case err := <-wrote:
		t.Fatalf("32 MB went into a black hole: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	heal(t, i)
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	c.Close()
	if n := <-total; n != size {
		t.Errorf("%d bytes arrived, want %d", n, size)
	}
}

func TestCutRefusesUntilTheHeal(t *testing.T) {
	f, d := echoFabric(t)
	used, idle := dial(t, d), dial(t, d)
	used.ask("hello")
	i := inject(t, f, wire.Fault{Kind: wire.Cut, Replica: -1})
	if _, err := used.Read(make([]byte, 1)); err == nil {
		t.Error("connection with traffic outlived the cut")
	}
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("idle connection outlived the cut")
	}
	expectTouched(t, i, 1)
	for range 3 {
		if _, err := d.Dial(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial gave %v", err)
		}
	}
	expectTouched(t, i, 4)
	heal(t, i)
	heal(t, i)
	if got := dial(t, d).ask("again"); got != "b[0] again" {
		t.Errorf("after the heal: %q", got)
	}
}

func TestTwoCutsHealOneByOne(t *testing.T) {
	f, d := echoFabric(t)
	dial(t, d)
	all := inject(t, f, wire.Fault{Kind: wire.Cut, Replica: -1})
	one := inject(t, f, wire.Fault{Kind: wire.Cut, Replica: 0})
	heal(t, all)
	if _, err := d.Dial(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("half healed, dial gave %v", err)
	}
	heal(t, one)
	if got := dial(t, d).ask("again"); got != "b[0] again" {
		t.Errorf("after the heal: %q", got)
	}
}

func TestResetEndsOldAndNewConnections(t *testing.T) {
	f, d := echoFabric(t)
	used, idle := dial(t, d), dial(t, d)
	used.ask("hello")
	i := inject(t, f, wire.Fault{Kind: wire.Reset, Replica: -1})
	for what, c := range map[string]*line{"used": used, "idle": idle} {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s connection read %v", what, err)
		}
	}
	expectTouched(t, i, 1)
	fresh := dial(t, d)
	if _, err := io.WriteString(fresh, message+message); err != nil {
		t.Fatal(err)
	}
	if _, err := fresh.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("new connection read %v", err)
	}
	expectTouched(t, i, 3)
	heal(t, i)
	if got := dial(t, d).ask("again"); got != "b[0] again" {
		t.Errorf("after the heal: %q", got)
	}
}

func TestLimitDataClosesBehindTheLimit(t *testing.T) {
	f, d := echoFabric(t)
	i := inject(t, f, wire.Fault{
		Kind: wire.LimitData, Bytes: 6, Direction: wire.Requests, Replica: -1,
	})
	c := dial(t, d)
	if got := c.ask("hi"); got != "b[0] hi" {
		t.Errorf("within the limit: %q", got)
	}
	io.WriteString(c, "ho\n")
	// The answer to the last line may or may not come before the end.
	if rest, err := io.ReadAll(c.in); err != nil {
		t.Errorf("behind the limit: %q, %v", rest, err)
	}
	expectTouched(t, i, 1)
	heal(t, i)
	if got := dial(t, d).ask(message); !strings.HasPrefix(got, "b[0] trace") {
		t.Errorf("after the heal: %q", got)
	}
}

func TestSlowCloseHoldsTheEnd(t *testing.T) {
	f := newFabric(t, wire.Options{Marker: mark})
	ln, err := f.Listen("b", 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 1)
	serve(t, ln, func(c net.Conn) {
		head := make([]byte, len(message))
		io.ReadFull(c, head)
		seen <- string(head)
		rest, _ := io.ReadAll(c)
		seen <- "closed" + string(rest)
	})
	c := dial(t, f.Dialer(ab, 0))
	i := inject(t, f, wire.Fault{Kind: wire.SlowClose, Latency: time.Hour, Replica: -1})
	io.WriteString(c, message)
	if got := <-seen; got != message {
		t.Fatalf("far end saw %q", got)
	}
	expectTouched(t, i, 0)
	c.Close()
	await(t, "the close is held", func() bool { return i.Touched() == 1 })
	heal(t, i)
	if got := <-seen; got != "closed" {
		t.Errorf("far end saw %q", got)
	}
}

func TestFaultIsOnProxiesMadeLater(t *testing.T) {
	f := newFabric(t, wire.Options{Marker: mark, Wires: []topology.Wire{ab}})
	serveEcho(t, f, "b", 0)
	i := inject(t, f, wire.Fault{Kind: wire.Timeout, Replica: -1})
	cut := inject(t, f, wire.Fault{Kind: wire.Cut, Replica: 1})
	c := dial(t, f.Dialer(ab, 0))
	io.WriteString(c, message)
	await(t, "message is held", func() bool { return i.Touched() == 1 })
	if _, err := f.Dialer(ab, 1).Dial(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial over the cut gave %v", err)
	}
	heal(t, i)
	heal(t, cut)
	if got := c.hear(); got != "b[0] "+strings.TrimSpace(message) {
		t.Errorf("after the heal: %q", got)
	}
	if got := dial(t, f.Dialer(ab, 1)).ask("hi"); got != "b[0] hi" {
		t.Errorf("after the heal of the cut: %q", got)
	}
}

func TestFaultOnOneReplica(t *testing.T) {
	f, d := echoFabric(t)
	other := f.Dialer(ab, 1)
	hit, spared := dial(t, d), dial(t, other)
	i := inject(t, f, wire.Fault{Kind: wire.Timeout, Replica: 0})
	io.WriteString(hit, message)
	if got := spared.ask("hi"); got != "b[0] hi" {
		t.Errorf("spared replica heard %q", got)
	}
	await(t, "message is held", func() bool { return i.Touched() == 1 })
	heal(t, i)
}

func TestSeveralFaultsOnOneWire(t *testing.T) {
	f, d := echoFabric(t)
	c := dial(t, d)
	slow := inject(t, f, wire.Fault{Kind: wire.Latency, Latency: time.Millisecond, Replica: -1})
	held := inject(t, f, wire.Fault{Kind: wire.Timeout, Direction: wire.Replies, Replica: -1})
	thin := inject(t, f, wire.Fault{Kind: wire.Slicer, Bytes: 9, Replica: -1})
	io.WriteString(c, message)
	await(t, "reply is held", func() bool { return held.Touched() == 1 })
	heal(t, slow)
	heal(t, held)
	if got := c.hear(); got != "b[0] "+strings.TrimSpace(message) {
		t.Errorf("heard %q", got)
	}
	heal(t, thin)
	if got := c.ask("again"); got != "b[0] again" {
		t.Errorf("heard %q", got)
	}
	got := []int64{slow.Touched(), held.Touched(), thin.Touched()}
	if diff := cmp.Diff([]int64{2, 1, 2}, got); diff != "" {
		t.Error(diff)
	}
}

func TestInjectRefuses(t *testing.T) {
	f, _ := echoFabric(t)
	for name, test := range map[string]struct {
		fault wire.Fault
		want  string
	}{
		"wire/unknown/refused": {
			wire.Fault{Wire: topology.Wire{From: "x", To: "b"}, Kind: wire.Cut},
			`inject "f" on "x -> b": there is no such wire`,
		},
		"wire/audit/refused": {
			wire.Fault{Wire: topology.Wire{From: "@audit", To: "b"}, Kind: wire.Cut},
			`inject "f" on "@audit -> b": audits read over direct paths, which have no faults`,
		},
		"direction/unknown/refused": {
			wire.Fault{Wire: ab, Kind: wire.Cut, Direction: "up"},
			`inject "f" on "a -> b": direction "up" is not one of requests, replies, both`,
		},
		"numbers/impossible/refused": {
			wire.Fault{Wire: ab, Kind: wire.Bandwidth, BytesPerSecond: 1},
			`inject "f" on "a -> b": 1 bytes a second is not possible: at least 1000`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.fault.Name = "f"
			_, err := f.Inject(context.Background(), test.fault)
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}
