package service

import (
	"slices"
	"sync"
	"time"

	"github.com/faultline-sim/faultline/simulators/service/program"
)

// lookAgain is how often a lane asks whether what it waits behind is still the replica's: nobody
// tells it when a part goes to another.
const lookAgain = 250 * time.Millisecond

// turns keep the order of a handler's deliveries over those that it gives back: what stands behind
// one of its scope waits until that one has come again and is done with. The zero value is ready and
// safe for concurrent use.
type turns struct {
	mu      sync.Mutex
	given   map[string][]*program.Item // by scope: given back, and not done with since
	changed chan struct{}              // closed when one is done with; nil while nobody waits
}

// waits says that an item stands behind one that was given back. Freed is closed when it is worth
// asking again.
func (t *turns) waits(it *program.Item) (freed <-chan struct{}, waits bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	scope := it.Delivery.Scope
	given := slices.DeleteFunc(t.given[scope], (*program.Item).Lost)
	if t.keep(scope, given); !slices.ContainsFunc(given, func(g *program.Item) bool {
		return behind(it, g)
	}) {
		return nil, false
	}
	if t.changed == nil {
		t.changed = make(chan struct{})
	}
	return t.changed, true
}

// behind says that an item comes after another of its scope. Where the broker numbers nothing all
// others do: a scope's deliveries come in order.
func behind(it, other *program.Item) bool {
	if it.Delivery.Offset != 0 || other.Delivery.Offset != 0 {
		return it.Delivery.Offset > other.Delivery.Offset
	}
	return !same(it, other)
}

func same(a, b *program.Item) bool {
	return a.Message.Flow == b.Message.Flow && a.Message.Number == b.Message.Number &&
		a.Delivery.Offset == b.Delivery.Offset
}

// handled notes what became of items: those that were given back are waited for.
func (t *turns) handled(items []*program.Item) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, it := range items {
		scope := it.Delivery.Scope
		before := len(t.given[scope])
		given := slices.DeleteFunc(t.given[scope], func(g *program.Item) bool { return same(it, g) })
		if scope != "" && it.GivenBack() {
			given = append(given, it)
		}
		t.keep(scope, given)
		if len(given) < before && t.changed != nil {
			close(t.changed)
			t.changed = nil
		}
	}
}

// keep is the lock's holder's.
func (t *turns) keep(scope string, given []*program.Item) {
	switch {
	case len(given) == 0:
		delete(t.given, scope)
	case t.given == nil:
		t.given = map[string][]*program.Item{scope: given}
	default:
		t.given[scope] = given
	}
}

// lane is one goroutine's way through a queue: what waits for its turn stands aside meanwhile.
type lane struct {
	queue <-chan *program.Item
	aside []*program.Item
}

// take is the first item that need not wait: of those that stand aside, or else it, where that is
// not nil. Freed is closed when it is worth asking again; nil is when nothing waits.
func (l *lanes) take(from *lane, it *program.Item) (next *program.Item, freed <-chan struct{}) {
	if it != nil {
		from.aside = append(from.aside, it)
		l.aside.Add(1)
	}
	for i := 0; i < len(from.aside); i++ {
		it := from.aside[i]
		waits := false
		if !it.Lost() {
			if freed, waits = l.turns.waits(it); waits {
				continue
			}
			next = it
		}
		from.aside = slices.Delete(from.aside, i, i+1)
		l.aside.Add(-1)
		if i--; next != nil {
			return next, nil
		}
	}
	return nil, freed
}
