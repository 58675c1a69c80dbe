package service

import (
	"hash/fnv"
	"slices"
	"sync/atomic"
	"time"

	"github.com/faultline-sim/faultline/simulators/service/program"
)

// lanes are the queues of one handler in one replica, each worked off by one goroutine. With
// "order: key" the messages of a key share a lane, so that one at a time is handled; with
// "order: none" there is one queue for all. Which lane is a key's is the same in every run.
type lanes struct {
	queues  []chan *program.Item
	workers int
	turn    atomic.Uint64
	turns   turns
	aside   atomic.Int64 // items that wait for their turn
}

// newLanes makes lanes that hold up to depth items each.
func newLanes(h *program.Handler, depth int) *lanes {
	l := &lanes{workers: 1}
	l.queues = make([]chan *program.Item, h.Concurrency)
	if h.Order == "none" {
		l.queues, l.workers = l.queues[:1], h.Concurrency
	}
	for i := range l.queues {
		l.queues[i] = make(chan *program.Item, depth)
	}
	return l
}

// push queues an item; false says that its lane is full.
func (l *lanes) push(it *program.Item) bool {
	select {
	case l.queues[l.lane(it)] <- it:
		return true
	default:
		return false
	}
}

func (l *lanes) lane(it *program.Item) uint64 {
	n := uint64(len(l.queues))
	switch {
	case n == 1:
		return 0
	case it.Message.Key == "":
		return l.turn.Add(1) % n
	default:
		sum := fnv.New64a()
		sum.Write([]byte(it.Message.Key))
		return sum.Sum64() % n
	}
}

// startLanes begins to work the lanes off. Once the replica stops, what is queued is left alone:
// it is not acknowledged, so its broker gives it to another.
func (r *replica) startLanes(h *program.Handler, l *lanes) {
	for _, queue := range l.queues {
		for range l.workers {
			r.work.Go(func() { r.workOff(h, l, queue) })
		}
	}
}

func (r *replica) workOff(h *program.Handler, l *lanes, queue <-chan *program.Item) {
	from := &lane{queue: queue}
	for {
		items := r.next(h, l, from)
		if items == nil || r.actor.Gate.Pass(r.intake) != nil {
			return
		}
		handled := slices.Clone(items)
		r.actor.Handle(r.ctx, h, items)
		if r.ordered(h, l) {
			l.turns.handled(handled)
		}
	}
}

// ordered says that what a handler gives back is waited for: it takes messages one after the other
// from a channel that promises order, and has no retry channel, which lets later ones pass.
func (r *replica) ordered(h *program.Handler, l *lanes) bool {
	c := r.svc.env.Topology.Channel(h.Source)
	return l.workers == 1 && h.RetryChannel() == "" && c != nil && (c.Key != "" || c.Parallel > 1)
}

// next waits for an item, or for a batch; nil says that the replica stops.
func (r *replica) next(h *program.Handler, l *lanes, from *lane) []*program.Item {
	it := r.one(l, from, nil)
	switch {
	case it == nil:
		return nil
	case h.Batch == nil:
		return []*program.Item{it}
	}
	return r.fill(h, l, from, it)
}

// one waits for an item whose turn it is; nil says that the replica stops, which goes before what is
// queued, or that over was closed.
func (r *replica) one(l *lanes, from *lane, over <-chan time.Time) *program.Item {
	var it *program.Item
	for {
		select {
		case <-r.stopping:
			return nil
		default:
		}
		next, freed := l.take(from, it)
		if next != nil {
			return next
		}
		var again <-chan time.Time
		if freed != nil {
			again = time.After(lookAgain)
		}
		select {
		case it = <-from.queue:
		case <-freed:
			it = nil
		case <-again:
			it = nil
		case <-over:
			return nil
		case <-r.stopping:
			return nil
		}
	}
}

// fill gathers a batch until it is full or its time is over, counted from the first item.
func (r *replica) fill(
	h *program.Handler, l *lanes, from *lane, first *program.Item,
) []*program.Item {
	items := append(make([]*program.Item, 0, max(1, h.Batch.Size)), first)
	over := time.NewTimer(max(h.Batch.Every, time.Millisecond))
	defer over.Stop()
	for len(items) < h.Batch.Size {
		it := r.one(l, from, over.C)
		if it == nil {
			break
		}
		items = append(items, it)
	}
	return items
}

// tick runs an "every" handler on its own phase.
func (r *replica) tick(h *program.Handler) {
	timer := time.NewTimer(r.actor.Phase(h))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-r.stopping:
			return
		}
		if r.actor.Gate.Pass(r.ctx) != nil {
			return
		}
		r.actor.Handle(r.ctx, h, []*program.Item{{Message: program.Anonymous("")}})
		timer.Reset(h.Every)
	}
}
