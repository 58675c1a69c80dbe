package sqs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/aws"
	"github.com/faultline-sim/faultline/simulators/conn/life"
)

// Source: Amazon SQS and SNS API references, SendMessageBatch and PublishBatch.
const (
	mostEntries = 10 // of one request
	// mostFlying is how many requests of one lane are on their way at once, where order allows it.
	mostFlying = 4
)

// Lane carries the letters to one queue or topic. A letter that finds no request on its way leaves
// at once; those that come meanwhile travel together in the next. Safe for concurrent use.
type Lane struct {
	link *aws.Link
	opt  LaneOptions

	mu      sync.Mutex
	waiting []*parcel
	flying  int // senders at work
}

// LaneOptions are what a lane is made from.
type LaneOptions struct {
	// Send makes one request, and says what became of each letter; errors are judged.
	Send func(ctx context.Context, letters []*Letter) []error
	// Most is the size of one request's letters at most, in bytes.
	Most int
	// Ordered keeps each group's letters in the order of the calls: one request is on its way at a
	// time, with one letter of a group, because a request may be carried out in part.
	Ordered bool
}

// NewLane makes a lane over a link.
func NewLane(link *aws.Link, opt LaneOptions) *Lane {
	return &Lane{link: link, opt: opt}
}

// parcel is one letter on its way; err is set when done is closed.
type parcel struct {
	*Letter
	size   int
	done   chan struct{}
	err    error
	before error // what the last try came to, when there will be another
}

func (p *parcel) settle(err error) {
	p.err = err
	close(p.done)
}

// Put sends a letter and returns when it was answered.
func (l *Lane) Put(ctx context.Context, letter *Letter) error {
	p := &parcel{Letter: letter, size: letter.Size(), done: make(chan struct{})}
	if err := ctx.Err(); err != nil {
		return err
	}
	l.add(p)
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
	}
	if l.withdraw(p) {
		if p.before != nil {
			return fmt.Errorf("%w: %w", ctx.Err(), p.before)
		}
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", conn.ErrUnknown, ctx.Err())
}

// add puts a parcel in the lane. Senders begin where there are none, or a whole request waits.
func (l *Lane) add(p *parcel) {
	l.mu.Lock()
	l.waiting = append(l.waiting, p)
	begin := l.flying == 0 ||
		!l.opt.Ordered && l.flying < mostFlying && len(l.waiting) >= mostEntries
	if begin {
		l.flying++
	}
	l.mu.Unlock()
	if begin && !l.link.Life().Go(l.send) {
		l.refuse()
	}
}

// refuse answers all that wait in a client that is closed.
func (l *Lane) refuse() {
	l.mu.Lock()
	waiting := l.waiting
	l.waiting = nil
	l.flying--
	l.mu.Unlock()
	for _, p := range waiting {
		p.settle(life.ErrClosed)
	}
}

// withdraw takes a parcel back that is not on its way.
func (l *Lane) withdraw(p *parcel) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.waiting, p)
	if i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
	return i >= 0
}

// send makes requests until nothing waits.
func (l *Lane) send() {
	for pauses := 0; ; {
		batch := l.take()
		if len(batch) == 0 {
			return
		}
		switch again := l.deliver(batch); {
		case again == 0:
			pauses = 0
			continue
		case again < len(batch): // there is room, if little
			pauses = 1
		default:
			pauses++
		}
		if l.link.Pause(l.link.Life(), pauses) != nil {
			l.refuse()
			return
		}
	}
}

// take is the next request's letters; with none, the sender's work is over.
func (l *Lane) take() []*parcel {
	l.mu.Lock()
	defer l.mu.Unlock()
	var batch []*parcel
	size, groups := 0, map[string]bool{}
	l.waiting = slices.DeleteFunc(l.waiting, func(p *parcel) bool {
		full := len(batch) == mostEntries || len(batch) > 0 && size+p.size > l.opt.Most
		if full || l.opt.Ordered && groups[p.Group] {
			groups[p.Group] = true // nothing of a group overtakes what stays
			return false
		}
		batch, size, groups[p.Group] = append(batch, p), size+p.size, true
		return true
	})
	if len(batch) == 0 {
		l.flying--
	}
	return batch
}

// deliver makes one request. Letters for which there was no room wait again, before all others; it
// returns how many there are.
func (l *Lane) deliver(batch []*parcel) (waiting int) {
	letters := make([]*Letter, len(batch))
	for i, p := range batch {
		letters[i] = p.Letter
	}
	var again []*parcel
	for i, err := range l.opt.Send(l.link.Life(), letters) {
		if errors.Is(err, aws.ErrThrottled) {
			batch[i].before = err
			again = append(again, batch[i])
			continue
		}
		batch[i].settle(err)
	}
	l.mu.Lock()
	l.waiting = append(again, l.waiting...)
	l.mu.Unlock()
	return len(again)
}
