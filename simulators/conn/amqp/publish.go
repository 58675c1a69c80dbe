package amqp

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/life"
	"github.com/faultline-sim/faultline/simulators/message"
)

const (
	// MostBytes is the largest body that is sent: what RabbitMQ takes by default from version 4 on
	// (128 MiB before). A larger one would hold up all that shares its connection.
	MostBytes = 16 << 20
	// mostHeaders is how many bytes a message's attributes may take. They must fit into one frame of
	// 128 KiB, with what dead-lettering adds.
	mostHeaders = 64 << 10
)

// Publish sends a message to the channel's exchange and returns when the broker has confirmed it:
// when it is durable in the queues of all groups. Messages of a channel go out in the order of the
// calls, each at once, however many are not confirmed yet. While the broker takes no publishes
// (its memory or disk is short) they wait. The receipt tells the part that the key belongs to, by
// FNV-1a; messages without a key go to each part in turn.
func (c *Client) Publish(ctx context.Context, channel string, m *message.Message) (
	conn.Receipt, error,
) {
	if err := m.Check(); err != nil {
		return conn.Receipt{}, fmt.Errorf("publish to %q: %w", channel, err)
	}
	p, err := c.parcel(ctx, channel, m)
	if err != nil {
		return conn.Receipt{}, fmt.Errorf("publish to %q: %w", channel, err)
	}
	if err := c.carry(ctx, c.lane(channel), p); err != nil {
		return conn.Receipt{}, fmt.Errorf("publish to %q: %w", channel, err)
	}
	return p.receipt, nil
}

// carry sends a parcel and waits for its answer, within ctx.
func (c *Client) carry(ctx context.Context, l *lane, p *parcel) error {
	l.add(p)
	select {
	case <-p.sent:
	case <-ctx.Done():
		if l.withdraw(p) {
			return ctx.Err()
		}
		c.abandon(p)
		return fmt.Errorf("%w: %w", conn.ErrUnknown, ctx.Err())
	}
	if p.err != nil {
		return p.err
	}
	select {
	case <-p.confirm.Done():
		return p.out.answer(p)
	case <-ctx.Done():
		c.abandon(p)
		return fmt.Errorf("%w: %w", conn.ErrUnknown, ctx.Err())
	}
}

// abandon leaves a parcel whose sender has gone to its end. A client that is closing needs no
// account of it any more.
func (c *Client) abandon(p *parcel) {
	c.life.Go(func() {
		<-p.sent
		if p.err == nil {
			<-p.confirm.Done()
			_ = p.out.answer(p)
		}
	})
}

// parcel is one message on its way.
type parcel struct {
	key       string // for routing
	mandatory bool
	content   amqp.Publishing
	receipt   conn.Receipt

	sent     chan struct{} // closed when the rest is set
	err      error         // why it is not in flight; nil when it is
	out      *outlet
	confirm  *amqp.DeferredConfirmation
	sequence int64 // its number on its outlet
}

// refuse answers a parcel that is not in flight.
func (p *parcel) refuse(err error) {
	p.err = err
	close(p.sent)
}

func (c *Client) parcel(ctx context.Context, channel string, m *message.Message) (*parcel, error) {
	if n := len(m.Data); n > MostBytes {
		return nil, c.refused(channel, fmt.Sprintf(
			"a body of %d bytes is above the client's %d: make the message smaller", n, MostBytes))
	}
	l, err := c.layout(ctx, channel)
	if errors.Is(err, errMissing) {
		return nil, c.refused(channel, fmt.Sprintf(
			"there is no exchange %q: declare the channel", ExchangeName(channel)))
	}
	if err != nil {
		return nil, err
	}
	p := &parcel{content: toPublishing(m), mandatory: !l.transient, sent: make(chan struct{})}
	if n := size(p.content.Headers); n > mostHeaders {
		return nil, c.refused(channel, fmt.Sprintf(
			"its attributes and headers take %d bytes, at most %d fit: make them smaller", n, mostHeaders))
	}
	if l.transient {
		p.content.DeliveryMode = amqp.Transient
	}
	p.content.Priority = urgency(m.Data, c.remembered(channel).Priority)
	part := c.partOf(m.Key, l.parts)
	p.key, p.receipt.Partition = routingKey(l, part), int32(part)
	return p, nil
}

// partOf is where a key belongs.
func (c *Client) partOf(key string, parts int) int {
	if parts == 1 {
		return 0
	}
	if key == "" {
		return int(c.turn.Add(1) % uint32(parts))
	}
	h := fnv.New32a()
	h.Write([]byte(key))
	return int(h.Sum32() % uint32(parts))
}

// lane carries the messages of one channel.
type lane struct {
	client  *Client
	channel string

	mu      sync.Mutex
	waiting []*parcel
	sending bool

	out *outlet // of the sending goroutine alone
}

func (c *Client) lane(channel string) *lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lanes[channel]
	if l == nil {
		l = &lane{client: c, channel: channel}
		c.lanes[channel] = l
	}
	return l
}

// add puts a parcel in the lane; a goroutine sends as long as there are any.
func (l *lane) add(p *parcel) {
	l.mu.Lock()
	l.waiting = append(l.waiting, p)
	begin := !l.sending
	l.sending = true
	l.mu.Unlock()
	if begin && !l.client.life.Go(l.send) {
		l.fail(life.ErrClosed)
	}
}

// withdraw takes a parcel back that is not on its way yet.
func (l *lane) withdraw(p *parcel) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.waiting, p)
	if i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
	return i >= 0
}

// next takes the first parcel; with none, sending is over.
func (l *lane) next() *parcel {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.waiting, l.sending = nil, false
		return nil
	}
	p := l.waiting[0]
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
	return p
}

// putBack undoes next, of a parcel that was certainly not sent.
func (l *lane) putBack(p *parcel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = slices.Insert(l.waiting, 0, p)
}

// fail answers all that wait, of whom nothing was sent; sending is over.
func (l *lane) fail(err error) {
	l.mu.Lock()
	waiting := l.waiting
	l.waiting, l.sending = nil, false
	l.mu.Unlock()
	for _, p := range waiting {
		p.refuse(err)
	}
}

func (l *lane) send() {
	for {
		if err := l.open(); err != nil {
			l.fail(err)
			return
		}
		p := l.next()
		if p == nil {
			return
		}
		if !l.out.send(l.client.life, p) {
			l.out = nil
			l.putBack(p)
		}
	}
}

// open sees to an outlet that takes messages now. While the broker takes none, or there is no
// connection, it waits; its error is why there will be none.
func (l *lane) open() error {
	alive := l.client.life
	for n := 1; l.out == nil || l.out.isGone(); n++ {
		s, err := l.client.main.session(alive)
		if err != nil {
			return err
		}
		if l.out, err = s.outlet(l.client, l.channel); err == nil {
			break
		}
		if !s.conn.IsClosed() {
			return err
		}
		if err := l.client.pause(alive, n); err != nil {
			return err
		}
	}
	for gate := l.out.session.gate(); gate != nil; gate = l.out.session.gate() {
		select {
		case <-gate:
		case <-alive.Done():
			return life.ErrClosed
		}
	}
	return nil
}
