package service

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/service/program"
)

// mostWaiting is how many messages of a retry channel a replica holds until they are due, at most.
// Those behind them wait in the channel, however early they are due.
const mostWaiting = 1024

// waiting holds the messages of one handler's retry channel in one replica until they are due.
type waiting struct {
	arrived chan postponed
	count   atomic.Int64
}

// postponed is an item that is not to be handled before it is due.
type postponed struct {
	item *program.Item
	due  time.Time
}

func newWaiting() *waiting { return &waiting{arrived: make(chan postponed)} }

// acceptAgain takes a delivery of the handler's retry channel.
func (r *replica) acceptAgain(h *program.Handler, w *waiting, d conn.Delivery) {
	if d.Err != nil {
		r.actor.Refuse(r.ctx, h, d)
		return
	}
	it, due := h.Again(d)
	select {
	case w.arrived <- postponed{it, due}:
	case <-r.stopping:
	}
}

// release queues what is due until the replica stops; what still waits then stays unsettled, so its
// broker gives it to another.
func (r *replica) release(w *waiting, l *lanes) {
	var held []postponed // sorted by due
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if len(held) > 0 {
			timer.Reset(time.Until(held[0].due))
		}
		select {
		case p := <-w.arrived:
			i, _ := slices.BinarySearchFunc(held, p, func(a, b postponed) int {
				return a.due.Compare(b.due)
			})
			held = slices.Insert(held, i, p)
		case <-timer.C:
			if len(held) == 0 || time.Now().Before(held[0].due) {
				break // the timer's first
			}
			select {
			case l.queues[l.lane(held[0].item)] <- held[0].item:
				held = slices.Delete(held, 0, 1)
			case <-r.stopping:
				return
			}
		case <-r.stopping:
			return
		}
		w.count.Store(int64(len(held)))
	}
}
