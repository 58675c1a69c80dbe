package lease_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn/lease"
)

const (
	every = 100 * time.Millisecond
	lasts = time.Second
)

// board is a lease table in memory, for all members of a group.
type board struct {
	mu      sync.Mutex
	parts   []string
	holders map[string]string
	renewed map[string]time.Time // by part
	alive   map[string]time.Time // by member
	deaf    map[string]bool      // members whose looks fail
	taking  map[string]string    // who takes from a part now
	twice   []string             // parts that two took from at once
}

func newBoard(n int) *board {
	b := &board{holders: map[string]string{}, renewed: map[string]time.Time{},
		alive: map[string]time.Time{}, deaf: map[string]bool{}, taking: map[string]string{}}
	for i := range n {
		b.parts = append(b.parts, fmt.Sprint(i))
	}
	return b
}

// row is one member's sight of the board.
type row struct {
	*board
	name string
}

func (r row) Look(context.Context) (lease.View, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.deaf[r.name] {
		return lease.View{}, context.DeadlineExceeded
	}
	now := time.Now()
	r.alive[r.name] = now
	v := lease.View{Parts: r.parts, Holders: map[string]string{}}
	for part, holder := range r.holders {
		if holder == r.name {
			r.renewed[part] = now
		}
		if now.Sub(r.renewed[part]) < lasts {
			v.Holders[part] = holder
		}
	}
	var names []string
	for name, at := range r.alive {
		if now.Sub(at) < lasts {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	v.Members, v.Rank = len(names), slices.Index(names, r.name)
	return v, nil
}

func (r row) Take(_ context.Context, part string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.holders[part]; h != "" && time.Since(r.renewed[part]) < lasts {
		return false, nil
	}
	r.holders[part], r.renewed[part] = r.name, time.Now()
	return true, nil
}

func (r row) Release(_ context.Context, part string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.holders[part] == r.name {
		delete(r.holders, part)
	}
	return nil
}

// join runs a member until the returned function is called.
func (b *board) join(t *testing.T, name string) (leave func()) {
	ctx, cancel := context.WithCancel(t.Context())
	m := lease.New(lease.Options{
		Name: name, Table: row{b, name}, Every: every, Lasts: lasts, Grace: every,
		Begin: func(part string) { b.take(part, name) },
		End:   func(_ context.Context, part string) { b.let(part, name) },
	})
	done := make(chan struct{})
	go func() { m.Run(ctx); close(done) }()
	return func() { cancel(); <-done }
}

func (b *board) take(part, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if other := b.taking[part]; other != "" {
		b.twice = append(b.twice, part+": "+other+" and "+name)
	}
	b.taking[part] = name
}

func (b *board) let(part, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.taking[part] == name {
		delete(b.taking, part)
	}
}

// shares are how many parts each member takes from, sorted, after time enough to settle.
func (b *board) shares() []int {
	time.Sleep(3*lasts + 10*every) // virtual
	b.mu.Lock()
	defer b.mu.Unlock()
	count := map[string]int{}
	for _, name := range b.taking {
		count[name]++
	}
	var all []int
	for _, n := range count {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

func want(t *testing.T, when string, b *board, shares ...int) {
	t.Helper()
	if diff := cmp.Diff(shares, b.shares()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
	if len(b.twice) > 0 {
		t.Errorf("%s: two took from a part at once: %v", when, b.twice)
	}
}

func TestPartsAreSharedAsMembersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(6)
		first := b.join(t, "a")
		want(t, "one member", b, 6)
		second := b.join(t, "b")
		want(t, "two members", b, 3, 3)
		third, fourth := b.join(t, "c"), b.join(t, "d")
		want(t, "four members", b, 1, 1, 2, 2)
		first()
		want(t, "one has left", b, 2, 2, 2)
		second()
		third()
		want(t, "one is left", b, 6)
		fourth()
		if len(b.holders)+len(b.taking) > 0 {
			t.Errorf("after all left %v are held and %v taken from", b.holders, b.taking)
		}
	})
}

func TestWhoHearsNothingLetsGoBeforeAnotherTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(4)
		defer b.join(t, "a")()
		defer b.join(t, "b")()
		want(t, "before", b, 2, 2)
		b.mu.Lock()
		b.deaf["a"] = true
		b.mu.Unlock()
		want(t, "a hears nothing", b, 4)
		b.mu.Lock()
		b.deaf["a"] = false
		b.mu.Unlock()
		want(t, "a is back", b, 2, 2)
	})
}

func TestWhoComesBackAloneHasItsPartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(4)
		defer b.join(t, "a")()
		want(t, "before", b, 4)
		for _, deaf := range []bool{true, false} {
			b.mu.Lock()
			b.deaf["a"] = deaf
			b.mu.Unlock()
			if deaf {
				time.Sleep(lasts + every) // virtual
			}
		}
		want(t, "a is back", b, 4)
	})
}
