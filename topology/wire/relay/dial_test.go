package relay_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
	"github.com/faultline-sim/faultline/topology/wire/relay"
)

// listens is a process that answers every line with itself, until its port closes.
func listens(t *testing.T, p *relay.Port) {
	t.Helper()
	if _, err := p.Inside(); err != nil {
		t.Fatal(err)
	}
	l, err := p.Listen()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.In(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					fmt.Fprintln(c, lines.Text())
				}
			}()
		}
	}()
}

// says sends a line and reads the answer.
func says(c net.Conn, line string) (string, error) {
	if _, err := fmt.Fprintln(c, line); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(answer), err
}

// Over every transport a process reaches its neighbours by DialOut and is reached by Listen, over its
// own wire and through that wire's faults.
func TestDialOutAndListen(t *testing.T) {
	for _, transport := range []wire.Transport{wire.TCP, wire.Memory} {
		t.Run(string(transport), func(t *testing.T) { testDialOutAndListen(t, transport) })
	}
	t.Run("virtual", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { testDialOutAndListen(t, wire.Virtual) })
	})
}

func testDialOutAndListen(t *testing.T, transport wire.Transport) {
	f, err := wire.New(wire.Options{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	near, far := relay.NewPort(f, "near", 0), relay.NewPort(f, "far", 0)
	relays, err := near.Out("far", "")
	if err != nil {
		t.Fatal(err)
	}
	addr := relays[0].Address()
	listens(t, far)

	c, err := near.DialOut(t.Context(), "tcp", strings.Replace(addr, "127.0.0.1", "localhost", 1))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := says(c, "hello"); got != "hello" || err != nil {
		t.Errorf("answered %q, %v", got, err)
	}
	w := topology.Wire{From: "near", To: "far"}
	if sent, answered := f.Bytes(w); sent != 6 || answered != 6 {
		t.Errorf("%d and %d bytes counted on the wire, want 6 and 6", sent, answered)
	}
	slow, err := f.Inject(t.Context(), wire.Fault{Name: "slow", Wire: w, Replica: -1, Kind: wire.Latency,
		Direction: wire.Requests, Latency: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if got, err := says(c, "slowly"); got != "slowly" || err != nil || time.Since(begun) < 100*time.Millisecond {
		t.Errorf("answered %q, %v after %s", got, err, time.Since(begun))
	}
	if err := slow.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}

	far.Sever()
	if got, err := says(c, "anyone"); err == nil {
		t.Errorf("a severed process answers %q", got)
	}
	c.Close()
	again := relay.NewPort(f, "far", 0)
	if err := far.Close(); err != nil {
		t.Error(err)
	}
	listens(t, again)
	c, err = near.DialOut(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := says(c, "again"); got != "again" || err != nil {
		t.Errorf("after a restart: answered %q, %v", got, err)
	}
	near.Sever()
	if got, err := says(c, "anyone"); err == nil {
		t.Errorf("a severed process is answered %q", got)
	}
	c.Close()
	if _, err := near.DialOut(t.Context(), "tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a severed process dials: %v", err)
	}
	if err := errors.Join(near.Close(), again.Close(), f.Close()); err != nil {
		t.Error(err)
	}
}

func TestDialOutKnowsItsNeighboursAlone(t *testing.T) {
	f, err := wire.New(wire.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := relay.NewPort(f, "near", 0)
	defer p.Close()
	relays, err := p.Out("far", "")
	if err != nil {
		t.Fatal(err)
	}
	want := "near[0] has no neighbour at 192.0.2.1:80, only at " + relays[0].Address()
	if _, err := p.DialOut(context.Background(), "tcp", "192.0.2.1:80"); err == nil || err.Error() != want {
		t.Errorf("dialled a stranger: %v, want %s", err, want)
	}
	if _, err := p.DialOut(context.Background(), "udp", relays[0].Address()); !errors.As(err, new(net.UnknownNetworkError)) {
		t.Errorf("dialled over udp: %v", err)
	}
}
