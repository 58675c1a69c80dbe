package amqp

import (
	"fmt"
	"slices"

	"github.com/faultline-sim/faultline/simulators/conn"
)

// outcome is what became of a delivery.
type outcome int

const (
	acked    outcome = iota // done with
	given                   // given back, to be delivered again
	rejected                // for the broker to dead-letter
)

// verdict is the outcome of one delivery.
type verdict struct {
	tag  uint64 // the delivery's number on its AMQP channel, from 1
	as   outcome
	told func(error) // hears when it was sent: the broker has no answer; nil is nobody
}

// tellAll says of outcomes that they were sent, or why that is not known.
func tellAll(said []verdict, err error) {
	for _, v := range said {
		if v.told != nil {
			v.told(err)
		}
	}
}

// errNotSent is of an outcome that was not sent, or may not have been.
var errNotSent = fmt.Errorf("%w: %w", conn.ErrUnknown, errRevoked)

// send tells the broker what became of deliveries, all that there is at a time, until the tap is
// no more.
func (t *tap) send() {
	p := &prefix{next: 1, later: map[uint64]struct{}{}}
	for {
		select {
		case <-t.dirty:
		case <-t.gone:
			return
		}
		t.mu.Lock()
		said := t.said
		t.said, t.sending = nil, len(said)
		t.mu.Unlock()
		err := t.tell(said, p)
		if err != nil {
			tellAll(said, errNotSent)
		} else {
			tellAll(said, nil)
		}
		t.mu.Lock()
		t.sending = 0
		if t.quiet != nil && t.isQuiet() {
			close(t.quiet)
			t.quiet = nil
		}
		t.mu.Unlock()
		if err != nil { // the connection is lost, or about to be noticed
			return
		}
	}
}

// tell sends outcomes: what is not acknowledged first, one by one, then the acknowledgements, of
// which one stands for all of the beginning that is settled.
func (t *tap) tell(said []verdict, p *prefix) error {
	var acks []uint64
	for _, v := range said {
		p.settle(v.tag)
		var err error
		switch v.as {
		case acked:
			acks = append(acks, v.tag)
		case given:
			err = t.ch.Nack(v.tag, false, true)
		case rejected:
			err = t.ch.Reject(v.tag, false)
		}
		if err != nil {
			return err
		}
	}
	slices.Sort(acks)
	if n, _ := slices.BinarySearch(acks, p.next); n > 0 {
		if err := t.ch.Ack(acks[n-1], n > 1); err != nil {
			return err
		}
		acks = acks[n:]
	}
	for _, tag := range acks {
		if err := t.ch.Ack(tag, false); err != nil {
			return err
		}
	}
	return nil
}

// prefix is how far the deliveries of an AMQP channel are settled from the first on, however.
type prefix struct {
	next  uint64              // the first that is not
	later map[uint64]struct{} // those behind it that are
}

func (p *prefix) settle(tag uint64) {
	p.later[tag] = struct{}{}
	for {
		if _, ok := p.later[p.next]; !ok {
			return
		}
		delete(p.later, p.next)
		p.next++
	}
}
