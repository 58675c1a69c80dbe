// Package lane carries messages to a broker in the order of the calls, several to a request.
//
// It is used in the run step of load → plan → run → check → report, by the clients of brokers. It
// promises that one request of a lane is on its way at a time, and that an error wraps
// conn.ErrUnknown where a message was on its way when its sender left. It may not import a client,
// an engine or a wire.
package lane

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/life"
)

// Parcel is one message on its way. The lane's sender settles it, once.
type Parcel[T any] struct {
	Content T
	size    int
	done    chan struct{}
	receipt conn.Receipt // this and err are set when done is closed
	err     error
}

// Settle says what became of a parcel.
func (p *Parcel[T]) Settle(r conn.Receipt, err error) {
	p.receipt, p.err = r, err
	close(p.done)
}

// Lane carries messages whose order matters to each other. A message that finds none on its way
// leaves at once, the others travel together in the next request. It is safe for concurrent use.
type Lane[T any] struct {
	opt Options[T]

	mu      sync.Mutex
	waiting []*Parcel[T]
	sending bool
}

// Options are what a lane is made from.
type Options[T any] struct {
	// Life is that of the lane's client.
	Life *life.Life
	// Most is how many messages one request carries, and MostBytes how large they are together,
	// where they are more than one.
	Most, MostBytes int
	// Send makes one request and settles each of its messages.
	Send func(batch []*Parcel[T])
}

// New makes a lane.
func New[T any](opt Options[T]) *Lane[T] { return &Lane[T]{opt: opt} }

// Put sends a message of so many bytes and returns when it was answered.
func (l *Lane[T]) Put(ctx context.Context, content T, size int) (conn.Receipt, error) {
	p := &Parcel[T]{Content: content, size: size, done: make(chan struct{})}
	l.add(p)
	select {
	case <-p.done:
		return p.receipt, p.err
	case <-ctx.Done():
	}
	if l.withdraw(p) {
		return conn.Receipt{}, ctx.Err()
	}
	return conn.Receipt{}, fmt.Errorf("%w: %w", conn.ErrUnknown, ctx.Err())
}

// add puts a parcel in the lane; a goroutine sends as long as there are any.
func (l *Lane[T]) add(p *Parcel[T]) {
	l.mu.Lock()
	l.waiting = append(l.waiting, p)
	begin := !l.sending
	l.sending = true
	l.mu.Unlock()
	if begin && !l.opt.Life.Go(l.send) {
		l.refuse()
	}
}

// refuse answers all that wait in a client that is closed.
func (l *Lane[T]) refuse() {
	l.mu.Lock()
	waiting := l.waiting
	l.waiting, l.sending = nil, false
	l.mu.Unlock()
	for _, p := range waiting {
		p.Settle(conn.Receipt{}, life.ErrClosed)
	}
}

// withdraw takes a parcel back that is not on its way yet.
func (l *Lane[T]) withdraw(p *Parcel[T]) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.waiting, p)
	if i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
	return i >= 0
}

func (l *Lane[T]) send() {
	for batch := l.take(); len(batch) > 0; batch = l.take() {
		l.opt.Send(batch)
	}
}

// take is the next request's messages; with none, sending is over.
func (l *Lane[T]) take() []*Parcel[T] {
	l.mu.Lock()
	defer l.mu.Unlock()
	size, n := 0, 0
	for n < len(l.waiting) && n < l.opt.Most {
		if size += l.waiting[n].size; n > 0 && size > l.opt.MostBytes {
			break
		}
		n++
	}
	if n == 0 {
		l.sending = false
		return nil
	}
	batch := slices.Clone(l.waiting[:n])
	l.waiting = slices.Delete(l.waiting, 0, n)
	return batch
}
