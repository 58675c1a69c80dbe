package service

import (
	"hash/fnv"
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
			r.work.Go(func() { r.workOff(h, queue) })
		}
	}
}

func (r *replica) workOff(h *program.Handler, queue <-chan *program.Item) {
	for {
		items := r.next(h, queue)
		if items == nil || r.actor.Gate.Pass(r.intake) != nil {
			return
		}
		r.actor.Handle(r.ctx, h, items)
	}
}

// next waits for an item, or for a batch; nil says that the replica stops.
func (r *replica) next(h *program.Handler, queue <-chan *program.Item) []*program.Item {
	select { // a stop goes before what is queued
	case <-r.stopping:
		return nil
	default:
	}
	select {
	case it := <-queue:
		if h.Batch == nil {
			return []*program.Item{it}
		}
		return r.fill(h, queue, it)
	case <-r.stopping:
		return nil
	}
}

// fill gathers a batch until it is full or its time is over, counted from the first item.
func (r *replica) fill(
	h *program.Handler, queue <-chan *program.Item, first *program.Item,
) []*program.Item {
	items := append(make([]*program.Item, 0, max(1, h.Batch.Size)), first)
	over := time.NewTimer(max(h.Batch.Every, time.Millisecond))
	defer over.Stop()
	for len(items) < h.Batch.Size {
		select {
		case it := <-queue:
			items = append(items, it)
		case <-over.C:
			return items
		case <-r.stopping:
			return items
		}
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
