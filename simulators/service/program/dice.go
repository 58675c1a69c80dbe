package program

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/topology/policy"
)

// dice is an actor's own generator, shared by its handlers.
type dice struct {
	mu   sync.Mutex
	rand *rand.Rand
}

func (d *dice) normal() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rand.NormFloat64()
}

// Phase is a share of a span, drawn from the actor's own generator.
func (a *Actor) Phase(span time.Duration) time.Duration {
	a.dice.mu.Lock()
	defer a.dice.mu.Unlock()
	return time.Duration(a.dice.rand.Float64() * float64(span))
}

// spread is the n-th pause of a backoff.
func (a *Actor) spread(b policy.Backoff, n int) time.Duration {
	a.dice.mu.Lock()
	defer a.dice.mu.Unlock()
	return simulators.Spread(b, n, a.dice.rand)
}
