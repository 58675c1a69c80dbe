package wire

import (
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// table is a table of the ports 10 to 19 over a set of claims that may be shared.
func table(taken *sync.Map) *ports {
	t := newPorts(TCP)
	t.first, t.last = 10, 19
	t.claim = func(port int) (io.Closer, error) {
		if _, had := taken.LoadOrStore(port, true); had {
			return nil, syscall.EADDRINUSE
		}
		return closer(func() { taken.Delete(port) }), nil
	}
	return t
}

type closer func()

func (c closer) Close() error { c(); return nil }

func TestPortsNeverClash(t *testing.T) {
	var taken sync.Map
	one, two := table(&taken), table(&taken)
	owners := map[int]string{}
	for n := range 5 {
		for name, table := range map[string]*ports{"one": one, "two": two} {
			owner := name + strconv.Itoa(n)
			port, err := table.of(owner)
			if err != nil {
				t.Fatal(err)
			}
			if other, had := owners[port]; had || port < 10 || port > 19 {
				t.Errorf("port %d for %s, had by %q", port, owner, other)
			}
			owners[port] = owner
			if again, err := table.of(owner); err != nil || again != port {
				t.Errorf("%s asked again: %d, %v; had %d", owner, again, err, port)
			}
		}
	}
	if port, err := one.of("late"); err == nil || !strings.Contains(err.Error(), `port for "late"`) {
		t.Errorf("an eleventh port of ten: %d, %v", port, err)
	}
	if err := two.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := one.of("late"); err != nil {
		t.Errorf("with five given back: %v", err)
	}
}

func TestPortsTellWhatIsWrong(t *testing.T) {
	table := newPorts(TCP)
	table.claim = func(int) (io.Closer, error) { return nil, syscall.EMFILE }
	if _, err := table.of("b[0]"); !errors.Is(err, syscall.EMFILE) ||
		!strings.Contains(err.Error(), `for "b[0]"`) {
		t.Errorf("without descriptors: %v", err)
	}
}

func TestClaimLetsItsOwnerListenAndNobodyElseClaim(t *testing.T) {
	table := newPorts(TCP)
	defer table.close()
	port, err := table.of("b[0]")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := claimPort(port); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("claimed twice: %v", err)
	}
	addr := "127.0.0.1:" + strconv.Itoa(port)
	for range 2 {
		ln, err := net.Listen("tcp4", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := claimPort(port); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("claimed from a listener: %v", err)
		}
		ln.Close()
	}
	if c, err := net.Dial("tcp4", addr); err == nil {
		c.Close()
		t.Error("a claim alone accepts connections")
	}
}
