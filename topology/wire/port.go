package wire

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"sync"
	"syscall"
)

// The range that ports are taken from. It ends below 32768, where the kernel's own choice of ports
// for outgoing connections begins, so a dial can never sit on a port of the fabric.
const (
	portFirst = 10000
	portLast  = 32000
)

// portTries bounds the search for a free port; with half of the range taken, a thousand misses in
// a row do not happen.
const portTries = 1000

// ports is a table of who has which port. The same owner gets the same port for the table's life.
// A port is held by a claim that the kernel knows, so that tables in other fabrics and in other
// processes never choose it, also while its owner does not listen.
type ports struct {
	first, last int // both included
	// claim holds a port of 127.0.0.1 until closed. It yields syscall.EADDRINUSE when somebody
	// else has the port.
	claim func(port int) (io.Closer, error)
	// choose is how far from first to try for an owner.
	choose func(owner string, try int) int

	mu     sync.Mutex
	owned  map[string]int
	claims []io.Closer
}

func newPorts(t Transport) *ports {
	p := &ports{first: portFirst, last: portLast, claim: claimPort, owned: map[string]int{}}
	p.choose = func(string, int) int { return rand.IntN(p.last - p.first + 1) }
	if t == Virtual {
		p.claim, p.choose = p.claimNumber, chooseByName
	}
	return p
}

// chooseByName is the same choice for the same owner in every run.
func chooseByName(owner string, try int) int {
	sum := fnv.New32a()
	sum.Write([]byte(owner))
	return (int(sum.Sum32()%(portLast-portFirst)) + try) % (portLast - portFirst + 1)
}

// claimNumber claims a port that is a mere number: nobody listens at it, and no other table knows
// of it.
func (t *ports) claimNumber(port int) (io.Closer, error) {
	for _, taken := range t.owned {
		if taken == port {
			return nil, syscall.EADDRINUSE
		}
	}
	return io.NopCloser(nil), nil
}

// of is the owner's port, taken now if it has none yet.
func (t *ports) of(owner string) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if port, ok := t.owned[owner]; ok {
		return port, nil
	}
	for try := range portTries {
		port := t.first + t.choose(owner, try)
		held, err := t.claim(port)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("claim port %d for %q: %w", port, owner, err)
		}
		t.owned[owner], t.claims = port, append(t.claims, held)
		return port, nil
	}
	return 0, fmt.Errorf("find port for %q: %d tries between %d and %d met only ports in use",
		owner, portTries, t.first, t.last)
}

// fix gives the owner this very port, or says why it cannot have it.
func (t *ports) fix(owner string, port int) error {
	held, err := t.claim(port)
	if err != nil {
		return fmt.Errorf("claim port %d for %q: %w", port, owner, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.owned[owner], t.claims = port, append(t.claims, held)
	return nil
}

// close gives all ports back.
func (t *ports) close() error {
	t.mu.Lock()
	claims := t.claims
	t.claims, t.owned = nil, map[string]int{}
	t.mu.Unlock()
	var errs []error
	for _, c := range claims {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
