package amqp

import (
	"context"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// desk is a subscription's place in its group over one connection. As long as it is taken the
// member counts: it consumes from the group's queue of members, in which there are never messages.
// It also answers how many deliveries the member holds, which nobody can ask the broker: see
// depth.go.
type desk struct {
	sub     *subscription
	session *session
	layout  layout
	ch      *amqp.Channel
	slots   chan struct{} // holds one for each delivery in hand, of all parts
	gone    chan struct{} // closed when the AMQP channel is
}

// sit takes a place in the group.
func (s *subscription) sit(ctx context.Context, on *session, l layout) (*desk, error) {
	d := &desk{
		sub: s, session: on, layout: l,
		slots: make(chan struct{}, s.prefetch), gone: make(chan struct{}),
	}
	return obtain(ctx, s.client, d.open, (*desk).leave)
}

func (d *desk) open() (*desk, error) {
	var err error
	if d.ch, err = d.session.conn.Channel(); err != nil {
		return nil, err
	}
	closes := d.ch.NotifyClose(make(chan *amqp.Error, 1))
	d.sub.client.life.Beside(func() { // who sits down is counted
		<-closes
		close(d.gone)
	})
	if err := d.listen(); err != nil {
		d.leave()
		return nil, err
	}
	members := membersQueue(d.sub.Channel, d.sub.Group)
	if _, err = declareSmall(d.ch, members); err == nil {
		_, err = d.ch.Consume(members, "", true, false, false, false, nil)
	}
	if err != nil {
		d.leave()
	}
	return d, err
}

// listen answers questions from now on. It has an AMQP channel of its own, since a message's frames
// must not have others of its channel between them.
func (d *desk) listen() error {
	ch, err := d.session.conn.Channel()
	if err != nil {
		return err
	}
	asked, err := listenTo(ch, questions(d.sub.Channel, d.sub.Group))
	if err != nil {
		_ = ch.Close()
		return err
	}
	d.sub.client.life.Beside(func() {
		d.answer(ch, asked)
		d.hangUp(ch)
	})
	return nil
}

func listenTo(ch *amqp.Channel, questions string) (<-chan amqp.Delivery, error) {
	err := ch.ExchangeDeclare(questions, amqp.ExchangeFanout, false, false, false, false, nil)
	if err != nil {
		return nil, err
	}
	own, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		return nil, err
	}
	if err := ch.QueueBind(own.Name, "", questions, false, nil); err != nil {
		return nil, err
	}
	return ch.Consume(own.Name, "", true, true, false, false, nil)
}

// expires is how long what a group's members agree by outlives the last of them.
const expires = time.Minute

// declareSmall makes a queue that members agree by, in which there is never a message. It is also
// the way to ask how many consume from it. It is durable, since RabbitMQ is about to give up shared
// queues that are not.
func declareSmall(ch *amqp.Channel, queue string) (amqp.Queue, error) {
	return ch.QueueDeclare(queue, true, false, false, false,
		amqp.Table{"x-expires": expires.Milliseconds()})
}

// answer tells who asks how many deliveries the member holds, until it leaves.
func (d *desk) answer(ch *amqp.Channel, asked <-chan amqp.Delivery) {
	for {
		select {
		case q, ok := <-asked:
			if !ok {
				return
			}
			_ = ch.Publish("", q.ReplyTo, false, false, amqp.Publishing{ // lost with the connection only
				Body: []byte(strconv.Itoa(d.sub.held())),
			})
		case <-d.gone:
			return
		}
	}
}

// held is how many deliveries the broker waits for.
func (s *subscription) held() int {
	n := 0
	for _, t := range s.open() {
		n += t.held()
	}
	return n
}

// leave gives the place up.
func (d *desk) leave() { d.hangUp(d.ch) }

// hangUp closes an AMQP channel, which gives back what was delivered on it and is not settled. A
// connection that does not answer is not waited for; nor does a crashed client say anything.
func (d *desk) hangUp(ch *amqp.Channel) {
	c := d.sub.client
	if c.life.Crashed() {
		return
	}
	done := make(chan struct{})
	c.life.Beside(func() { // who hangs up is counted
		defer close(done)
		_ = ch.Close()
	})
	timer := time.NewTimer(goodbye)
	defer timer.Stop()
	select {
	case <-done:
	case <-d.session.lost:
	case <-timer.C:
	}
}

// tap begins to consume from a part's queue; what comes waits until it begins to hand out.
func (d *desk) tap(ctx context.Context, part int) (*tap, error) {
	return obtain(ctx, d.sub.client, func() (*tap, error) {
		return d.connect(func(ch *amqp.Channel) (*tap, error) { return d.consume(ch, part) })
	}, (*tap).close)
}

// locked is tap for who first gets a lock, on the same AMQP channel.
func (d *desk) locked(ctx context.Context, part int, lock string) (*tap, error) {
	return obtain(ctx, d.sub.client, func() (*tap, error) {
		return d.connect(func(ch *amqp.Channel) (*tap, error) {
			if _, err := declareSmall(ch, lock); err != nil {
				return nil, err
			}
			if _, err := ch.Consume(lock, "", true, true, false, false, nil); err != nil {
				return nil, err
			}
			return d.consume(ch, part)
		})
	}, (*tap).close)
}

// connect makes a tap on an AMQP channel of its own.
func (d *desk) connect(make func(*amqp.Channel) (*tap, error)) (*tap, error) {
	ch, err := d.session.conn.Channel()
	if err != nil {
		return nil, err
	}
	t, err := make(ch)
	if err != nil {
		d.hangUp(ch)
	}
	return t, err
}

func (d *desk) consume(ch *amqp.Channel, part int) (*tap, error) {
	s := d.sub
	queue := queueName(s.Channel, s.Group, d.layout.part(part))
	if d.layout.transient {
		if err := s.makeTransient(ch, queue); err != nil {
			return nil, err
		}
	}
	if err := ch.Qos(d.share(), 0, false); err != nil {
		return nil, err
	}
	in, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return nil, err
	}
	return &tap{
		desk: d, part: part, ch: ch, in: in, hand: map[uint64]struct{}{},
		stop: make(chan struct{}), gone: make(chan struct{}), dirty: make(chan struct{}, 1),
	}, nil
}

// share is how many deliveries of one part the broker may send before some are settled; the slots
// bound those of all parts together that are handed out. Where the broker counts deliveries, those
// that are never handed out count too, so a part has only its share. 65,535 is the most that can be
// said.
func (d *desk) share() int {
	n := d.sub.prefetch
	if d.layout.native {
		n = max(1, n/d.layout.parts)
	}
	return min(n, 1<<16-1)
}

// makeTransient makes the queue of a channel that is not kept, which ends with its last consumer.
func (s *subscription) makeTransient(ch *amqp.Channel, queue string) error {
	var args amqp.Table
	if known := s.client.remembered(s.Channel); known.Key != "" {
		args = amqp.Table{"x-single-active-consumer": true}
	}
	if _, err := ch.QueueDeclare(queue, false, true, false, false, args); err != nil {
		return err
	}
	return ch.QueueBind(queue, "", ExchangeName(s.Channel), false, nil)
}

// result is what was obtained, or why not.
type result[T any] struct {
	it  T
	err error
}

// obtain is what get yields, or ctx's error; what is got too late is dropped. The caller is one of
// the client's own goroutines.
func obtain[T any](ctx context.Context, c *Client, get func() (T, error), drop func(T)) (T, error) {
	got := make(chan result[T])
	c.life.Beside(func() {
		it, err := get()
		select {
		case got <- result[T]{it, err}:
		case <-ctx.Done():
			if err == nil {
				drop(it)
			}
		}
	})
	select {
	case r := <-got:
		return r.it, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
