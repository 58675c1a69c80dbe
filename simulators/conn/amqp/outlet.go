package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/faultline-sim/faultline/simulators/conn"
)

// mostInFlight is how many messages of a channel may await their confirm.
const mostInFlight = 4096

// outlet is an AMQP channel in confirm mode, for the messages of one channel: what the broker
// closes it for is no other's affair.
type outlet struct {
	client   *Client
	session  *session
	channel  string
	exchange string
	ch       *amqp.Channel

	sent     int64         // messages so far; of the sender alone
	inFlight chan struct{} // holds one for each message that is written and not answered
	gone     chan struct{} // closed when the AMQP channel is
	why      *amqp.Error   // set before that; nil for an orderly end

	mu      sync.Mutex
	returns chan amqp.Return // with room for all in flight, so that the library never waits
	back    map[int64]string // why a message came back, by its number
	unclear bool             // the message that the broker closed the channel for may have been met
}

// outlet opens an AMQP channel for a channel's messages.
func (s *session) outlet(c *Client, channel string) (*outlet, error) {
	ch, err := s.conn.Channel()
	if err != nil {
		return nil, err
	}
	o := &outlet{
		client: c, session: s, channel: channel, exchange: ExchangeName(channel), ch: ch,
		inFlight: make(chan struct{}, mostInFlight), gone: make(chan struct{}),
		returns: ch.NotifyReturn(make(chan amqp.Return, mostInFlight)),
		back:    map[int64]string{},
	}
	closes := ch.NotifyClose(make(chan *amqp.Error, 1))
	if err := ch.Confirm(false); err != nil {
		_ = ch.Close()
		return nil, err
	}
	c.life.Beside(func() { // the sender that opens it is counted
		o.why = <-closes
		close(o.gone)
	})
	return o, nil
}

func (o *outlet) isGone() bool { return o.ch.IsClosed() }

// send writes a message; false says that nothing complete was written, which is what the library
// says of a channel that was closed before or between its frames.
func (o *outlet) send(ctx context.Context, p *parcel) bool {
	select {
	case o.inFlight <- struct{}{}:
	case <-o.gone:
		return false
	}
	o.sent++
	p.out, p.sequence = o, o.sent
	p.content.Headers[sequenceHeader] = p.sequence
	var err error
	p.confirm, err = o.ch.PublishWithDeferredConfirmWithContext(
		ctx, o.exchange, p.key, p.mandatory, false, p.content)
	if err == nil {
		close(p.sent)
		return true
	}
	<-o.inFlight
	if errors.Is(err, amqp.ErrClosed) || errors.Is(err, context.Canceled) {
		return false
	}
	p.refuse(fmt.Errorf("%w: %w", conn.ErrUnknown, err))
	return true
}

// answer says what became of a message that was written, once its confirm has come or never will.
func (o *outlet) answer(p *parcel) error {
	defer func() { <-o.inFlight }()
	switch {
	case p.confirm.Acked():
		return o.returned(p)
	case !o.isGone():
		return fmt.Errorf("%w: the broker could not keep it in every queue", conn.ErrUnknown)
	}
	<-o.gone // it is about to be
	return o.failed()
}

// returned is an error where the broker confirmed a message after it had sent it back.
func (o *outlet) returned(p *parcel) error {
	if !p.mandatory {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.collect()
	why, back := o.back[p.sequence]
	if !back {
		return nil
	}
	delete(o.back, p.sequence)
	return o.client.refused(o.channel, fmt.Sprintf(
		"no queue takes from exchange %q (%s): declare the channel with its groups", o.exchange, why))
}

// collect takes in what has come back; the lock is held. A message comes back before its confirm.
func (o *outlet) collect() {
	for {
		select {
		case r, ok := <-o.returns:
			if !ok {
				o.returns = nil
				return
			}
			if n, ok := r.Headers[sequenceHeader].(int64); ok {
				o.back[n] = r.ReplyText
			}
		default:
			return
		}
	}
}

// failed is the answer to a message that was in flight when its AMQP channel was closed. The broker
// does not say which message it closed the channel for: only a single one can be meant.
func (o *outlet) failed() error {
	if o.why == nil {
		return fmt.Errorf("%w: %w", conn.ErrUnknown, errLost)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	alone := !o.unclear && len(o.inFlight) == 1 // this one
	o.unclear = true
	if !o.why.Server || !o.why.Recover {
		return fmt.Errorf("%w: %w: %w", conn.ErrUnknown, errLost, o.why)
	}
	o.client.layouts.Delete(o.channel)
	if alone {
		return o.client.refused(o.channel, fmt.Sprintf(
			"%s: see to exchange %q", o.why.Reason, o.exchange))
	}
	return fmt.Errorf("%w: %w", conn.ErrUnknown, o.why)
}
