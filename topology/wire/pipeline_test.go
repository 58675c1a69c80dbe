package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Shopify/toxiproxy/v2/toxics"

	"github.com/faultline-sim/faultline/topology/wire/memory"
)

// harmless are toxics that every byte gets through, deadly those that may end a connection.
var (
	harmless = []string{
		`{"type": "latency", "toxicity": 1, "attributes": {"latency": 30, "jitter": 10}}`,
		`{"type": "latency", "toxicity": 0.5, "attributes": {"latency": 500}}`,
		`{"type": "bandwidth", "toxicity": 1, "attributes": {"rate": 20}}`,
		`{"type": "slicer", "toxicity": 1, "attributes": {"average_size": 100, "delay": 50}}`,
		`{"type": "slow_close", "toxicity": 1, "attributes": {"delay": 200}}`,
		`{"type": "faultline_stall", "toxicity": 1, "attributes": {"marker": "m"}}`,
		`{"type": "faultline_meter", "toxicity": 1, "attributes": {"marker": "m", "counts": "markers"}}`,
	}
	deadly = []string{
		`{"type": "limit_data", "toxicity": 1, "attributes": {"bytes": 5000}}`,
		`{"type": "timeout", "toxicity": 1, "attributes": {"timeout": 0}}`,
		`{"type": "timeout", "toxicity": 1, "attributes": {"timeout": 100}}`,
		`{"type": "reset_peer", "toxicity": 1, "attributes": {"timeout": 20}}`,
		`{"type": "faultline_limit", "toxicity": 1, "attributes": {"marker": "m", "bytes": 3000}}`,
	}
)

// toxicOf is one as the library makes it of a request.
func toxicOf(t testing.TB, text string) *toxics.ToxicWrapper {
	t.Helper()
	w := new(toxics.ToxicWrapper)
	var about struct {
		Type       string
		Toxicity   float32
		Attributes json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &about); err != nil {
		t.Fatal(err)
	}
	w.Type, w.Toxicity = about.Type, about.Toxicity
	if toxics.New(w) == nil {
		t.Fatalf("there is no toxic %s", text)
	}
	if err := json.Unmarshal(about.Attributes, w.Toxic); err != nil {
		t.Fatal(err)
	}
	return w
}

// Toxics come and go in any order while bytes are under way. All of them arrive, in order, when none of
// the toxics ends connections; and whatever they are, nothing is left waiting, which the bubble would
// end the test for.
func TestToxicsComeAndGo(t *testing.T) {
	registerToxics()
	for name, c := range map[string]struct {
		pool []string
		all  bool
	}{
		"toxics/harmless/every byte":      {harmless, true},
		"toxics/any/nothing left waiting": {slices.Concat(harmless, deadly), false},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(150) {
				synctest.Test(t, func(t *testing.T) {
					sent, got := changing(t, rand.New(rand.NewPCG(seed, 0)), c.pool)
					if whole := bytes.Equal(sent, got); c.all && !whole {
						t.Errorf("seed %d: of %d bytes %d came, or not in order", seed, len(sent), len(got))
					}
				})
			}
		})
	}
}

// changing sends bytes through a pipeline whose toxics change, and yields what was sent and what came.
func changing(t *testing.T, r *rand.Rand, pool []string) (sent, got []byte) {
	near, from := memory.Pair(new(net.TCPAddr), new(net.TCPAddr))
	to, far := memory.Pair(new(net.TCPAddr), new(net.TCPAddr))
	p, back := newPipeline(from, to), newPipeline(to, from)
	var want []*toxics.ToxicWrapper
	for range r.IntN(3) {
		want = append(want, toxicOf(t, pool[r.IntN(len(pool))]))
	}
	p.start(want, func() {})
	back.start(nil, func() {})
	pieces := 20 + r.IntN(30)
	for n := range pieces {
		sent = fmt.Appendf(sent, "%d m %0*d\n", n, r.IntN(3000), n)
	}
	pause := time.Duration(1+r.IntN(20)) * time.Millisecond
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() {
		defer near.CloseWrite()
		for piece := range slices.Chunk(sent, max(1, len(sent)/pieces)) {
			if _, err := near.Write(piece); err != nil {
				return
			}
			time.Sleep(pause)
		}
	})
	read, late := make(chan struct{}), time.Duration(r.IntN(2))*time.Second
	go func() {
		defer close(read)
		defer far.Close()
		time.Sleep(late)
		got, _ = io.ReadAll(far) // a reset is one of the ends that are meant
	}()
	for range 30 {
		time.Sleep(time.Duration(r.IntN(40)) * time.Millisecond)
		switch r.IntN(5) {
		case 0, 1:
			if len(want) < 4 {
				want = append(want, toxicOf(t, pool[r.IntN(len(pool))]))
			}
		case 2, 3:
			if len(want) > 0 {
				at := r.IntN(len(want))
				gone := want[at]
				want = slices.Delete(slices.Clone(want), at, at+1)
				defer letGo(gone)
			}
		default:
			p.again()
			continue
		}
		p.set(want)
	}
	p.set(nil)
	for _, t := range want {
		letGo(t)
	}
	<-read
	near.Close()
	<-p.over
	<-back.over
	return sent, got
}

// letGo ends what one of our own toxics still serves, as a heal does.
func letGo(t *toxics.ToxicWrapper) {
	if ours, ok := t.Toxic.(own); ok {
		ours.tolls().abandon()
	}
}
