package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-sim/faultline/simulators/conn"
)

// share is one part of a channel that this client takes from.
type share struct {
	sub    *subscription
	part   int
	quit   context.CancelFunc
	ended  sync.WaitGroup
	misses int // requests for messages that did not work, in a row

	mu      sync.Mutex
	revoked bool
	open    map[*held]struct{} // handed out and not settled
	change  chan struct{}      // closed when one is settled; nil while nobody waits for it
	back    bool               // one was given back since messages were last asked for
}

// held is a delivery in hand.
type held struct {
	msg   jetstream.Msg
	since time.Time // when the server was last told that it is in hand
}

func newShare(s *subscription, part string) *share {
	n, _ := strconv.Atoi(part) // a number of our own making
	return &share{sub: s, part: n, open: map[*held]struct{}{}}
}

func (s *share) start(ctx context.Context) {
	ctx, s.quit = context.WithCancel(ctx)
	s.ended.Go(func() { s.take(ctx) })
	s.ended.Go(func() { s.renew(ctx) })
}

// end stops taking, waits within ctx until all in hand is settled, and refuses what is settled
// later.
func (s *share) end(ctx context.Context) {
	s.quit()
	for {
		s.mu.Lock()
		if len(s.open) == 0 || ctx.Err() != nil {
			s.revoked = true
			s.mu.Unlock()
			break
		}
		changed := s.await()
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	s.ended.Wait()
}

// await is a channel that the next settling closes; the lock is held.
func (s *share) await() <-chan struct{} {
	if s.change == nil {
		s.change = make(chan struct{})
	}
	return s.change
}

// take asks for messages, as many as there is room for, until ctx ends.
func (s *share) take(ctx context.Context) {
	for ctx.Err() == nil {
		s.takeOver(ctx)
		s.misses++
		if s.sub.client.life.PauseBefore(ctx, s.misses) != nil {
			return
		}
	}
}

// takeOver takes over the present connection, until it is lost or something else does not work.
func (s *share) takeOver(ctx context.Context) {
	l, err := s.sub.client.link()
	if err != nil {
		return
	}
	consumer, err := s.consumer(ctx, l)
	for err == nil {
		err = s.fetch(ctx, l, consumer)
	}
}

// consumer finds the part's consumer. Where order is promised and the server does not count
// attempts, all that is not acknowledged is delivered anew from there on, in order: a consumer that
// has gone may have left some of it open.
func (s *share) consumer(ctx context.Context, l *link) (jetstream.Consumer, error) {
	k := s.sub.kept
	ctx, cancel := l.limit(ctx)
	defer cancel()
	stream, name := Token(k.channel), consumerName(s.sub.Group, s.part)
	consumer, err := l.js.Consumer(ctx, stream, name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		consumer, err = l.js.CreateOrUpdateConsumer(ctx, stream, k.consumer(s.sub.Group, s.part))
	}
	if err == nil && k.ordered && k.attempts == 0 && consumer.CachedInfo().NumAckPending > 0 {
		err = reset(ctx, l.js, stream, name)
	}
	return consumer, err
}

// reset has all that is not acknowledged delivered anew. Servers before 2.14 cannot: they deliver it
// again when its ack wait is over, behind what is newer.
func reset(ctx context.Context, js jetstream.JetStream, stream, consumer string) error {
	_, err := js.ResetConsumer(ctx, stream, consumer)
	if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrJetStreamNotEnabled) {
		return nil
	}
	return err
}

// fetch asks once and hands out what comes.
func (s *share) fetch(ctx context.Context, l *link, consumer jetstream.Consumer) error {
	room, err := s.room(ctx)
	if err != nil {
		return err
	}
	limited, cancel := l.limit(ctx)
	defer cancel()
	batch, err := consumer.Fetch(room, jetstream.FetchContext(limited))
	if err != nil {
		return err
	}
	for msg := range batch.Messages() {
		s.misses = 0
		s.deliver(msg)
	}
	switch err := batch.Error(); {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil, errors.Is(err, context.DeadlineExceeded):
		return nil
	default:
		return err
	}
}

// room waits until a part of what may be in hand is free, and is how much that is.
func (s *share) room(ctx context.Context) (int, error) {
	for {
		s.mu.Lock()
		free := s.sub.Prefetch - len(s.open)
		if free > 0 && (4*free >= s.sub.Prefetch || s.back) { // what is in hand may wait behind that
			s.back = false
			s.mu.Unlock()
			return free, nil
		}
		changed := s.await()
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func (s *share) deliver(msg jetstream.Msg) {
	meta, err := msg.Metadata()
	if err != nil {
		return // not from a stream
	}
	h := &held{msg: msg, since: time.Now()}
	s.mu.Lock()
	s.open[h] = struct{}{}
	s.mu.Unlock()
	s.sub.Handle(s.delivery(h, meta))
}

// delivery is what the consumer gets.
func (s *share) delivery(h *held, meta *jetstream.MsgMetadata) conn.Delivery {
	var told func(error)
	d := conn.Delivery{
		Channel: s.sub.Channel, Partition: int32(s.part), Offset: int64(meta.Sequence.Stream),
		Redelivered: meta.NumDelivered > 1, Attempt: int(meta.NumDelivered),
		Ack:     func(context.Context) error { return s.settle(h, "acknowledge", ack, told) },
		Nack:    func(context.Context) error { return s.settle(h, "give back", nak, nil) },
		Confirm: func(f func(error)) { told = f },
	}
	d.Lost = func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.revoked
	}
	if s.sub.kept.dead != "" {
		d.Reject = func(context.Context) error { return s.settle(h, "reject", term, nil) }
	}
	d.Message, d.Err = fromMsg(h.msg.Headers(), h.msg.Data(), s.sub.client.cfg.Recall)
	if d.Err != nil {
		d.Message, d.Raw = nil, h.msg.Data()
	} else if s.sub.kept.ordered && d.Message.Key != "" {
		d.Scope = "key " + d.Message.Key
	}
	return d
}

// settle says the last word about a delivery. Its way to the server is not awaited: a word that
// does not arrive makes the server deliver again. Told, where it is not nil, hears when the server
// has it.
func (s *share) settle(h *held, verb string, w word, told func(error)) error {
	s.mu.Lock()
	_, open := s.open[h]
	open = open && !s.revoked
	s.back = s.back || w == nak
	delete(s.open, h)
	if s.change != nil {
		close(s.change)
		s.change = nil
	}
	s.mu.Unlock()
	err := error(errRevoked)
	if open {
		err = s.say(h, w, told)
	}
	if err != nil {
		return fmt.Errorf("%s %s part %d: %w", verb, s.sub.Channel, s.part, err)
	}
	return nil
}

// word is what the server is told of a delivery. Source: the JetStream documentation, "Consumers".
type word string

const (
	ack        word = "+ACK"
	nak        word = "-NAK"
	term       word = "+TERM"
	inProgress word = "+WPI"
)

// say sends a word about a delivery, over whichever connection there is now. The server answers it
// where somebody wants to be told.
func (s *share) say(h *held, w word, told func(error)) error {
	l, err := s.sub.client.link()
	if err != nil {
		return err
	}
	if told == nil {
		return l.nc.Publish(h.msg.Reply(), []byte(w))
	}
	return l.nc.PublishRequest(h.msg.Reply(), l.answers.expect(told), []byte(w))
}

// renew tells the server what is still in hand, so that it is not delivered again.
func (s *share) renew(ctx context.Context) {
	tick := time.NewTicker(ackWait / 6)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.tellInHand()
		case <-ctx.Done():
			return
		}
	}
}

func (s *share) tellInHand() {
	now := time.Now()
	var due []*held
	s.mu.Lock()
	for h := range s.open {
		if now.Sub(h.since) > ackWait/3 {
			h.since = now
			due = append(due, h)
		}
	}
	s.mu.Unlock()
	for _, h := range due {
		_ = s.say(h, inProgress, nil) // else it is delivered again
	}
}
