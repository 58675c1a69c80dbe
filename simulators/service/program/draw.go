package program

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/topology/policy"
)

// draw is a generator for one choice about one item: the same for the same message, delivery and
// attempt, whatever else the actor does at the time. A generator that items share would give each
// what the order of goroutines happens to leave for it.
func (a *Actor) draw(it *Item, use string, n int) *rand.Rand {
	sum := fnv.New64a()
	for _, part := range []string{a.Client, use, it.Message.Flow} {
		sum.Write([]byte(part))
		sum.Write([]byte{0})
	}
	var numbers [24]byte
	if it.Message.Flow == "" { // a run that no message began: each is another
		n ^= int(a.now())
	}
	binary.LittleEndian.PutUint64(numbers[:], uint64(it.Message.Number))
	binary.LittleEndian.PutUint64(numbers[8:], uint64(it.given))
	binary.LittleEndian.PutUint64(numbers[16:], uint64(n))
	sum.Write(numbers[:])
	return rand.New(rand.NewPCG(a.Env.Seed, sum.Sum64()))
}

// Phase is when within its period a handler that is run each so often is run first.
func (a *Actor) Phase(h *Handler) time.Duration {
	return time.Duration(a.Env.Rand("phase", a.Client, h.Name).Float64() * float64(h.Every))
}

// spread is the n-th pause of a backoff before something is done again for an item.
func (a *Actor) spread(it *Item, use string, b policy.Backoff, n int) time.Duration {
	return simulators.Spread(b, n, a.draw(it, "pause "+use, n))
}
