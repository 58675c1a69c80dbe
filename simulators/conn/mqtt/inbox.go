package mqtt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/handout"
	"github.com/faultline-sim/faultline/simulators/conn/life"
	"github.com/faultline-sim/faultline/simulators/message"
)

// refusedQoS is the SUBACK code of a subscription that the broker refuses.
const refusedQoS = 0x80

// subscription is one Subscribe.
type subscription struct {
	filter string   // what the broker is asked for
	levels []string // of the topics it matches; "+" is any
	queue  *handout.Queue
	known  bool // the broker's session has it; guarded by the inbox
}

// inbox holds what the broker has sent and is not acknowledged. The zero value is ready.
type inbox struct {
	mu        sync.Mutex
	subs      []*subscription
	unclaimed []*received          // came before a subscription for them, from a resumed session
	inHand    map[uint16]*received // by packet identifier
	stopped   bool
}

// received is one message in hand. After a reconnection the broker sends it again; then it is
// the new copy that is acknowledged, and the consumer is not bothered twice.
type received struct {
	link *link // guarded by the inbox, as is message
	from paho.Message
}

// Subscribe asks for a channel's messages at QoS 1, whatever s.QoS says: less is for publishers to
// ask. Members of one group share them: each message goes to one member, and those of one topic to
// the same one while the group stays as it is; without a group every subscriber gets all. A
// level ":id" of the channel matches any. When ctx ends the client hands out nothing more, but
// the broker's session keeps the subscription. Where two subscriptions of one client overlap, the
// first gets the message.
func (c *Client) Subscribe(ctx context.Context, s conn.Subscription) error {
	sub := newSubscription(s)
	c.inbox.add(sub, c)
	context.AfterFunc(ctx, func() { c.inbox.drop(sub) })
	for {
		c.mu.Lock()
		link, changed := c.link, c.changed
		c.mu.Unlock()
		if link != nil {
			err := c.ask(ctx, link, sub)
			if err == nil {
				return nil
			}
			if !link.isLost() {
				c.inbox.drop(sub)
				return err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("subscribe to %q: %w", s.Channel, ctx.Err())
		case <-c.life.Done():
			return fmt.Errorf("subscribe to %q: %w", s.Channel, life.ErrClosed)
		}
	}
}

func newSubscription(s conn.Subscription) *subscription {
	levels := strings.Split(s.Channel, "/")
	for i, level := range levels {
		if strings.HasPrefix(level, ":") {
			levels[i] = "+"
		}
	}
	filter := strings.Join(levels, "/")
	if s.Group != "" {
		filter = "$share/" + s.Group + "/" + filter
	}
	return &subscription{
		filter: filter,
		levels: levels,
		queue:  handout.New(s.Prefetch, s.Handle),
	}
}

// ask subscribes over a link and returns when the broker has granted it.
func (c *Client) ask(ctx context.Context, l *link, sub *subscription) error {
	token := l.paho.Subscribe(sub.filter, 1, nil).(*paho.SubscribeToken)
	select {
	case <-token.Done():
	case <-l.lost:
		return fmt.Errorf("subscribe to %q: %w", sub.filter, errors.New("connection lost"))
	case <-ctx.Done():
		return fmt.Errorf("subscribe to %q: %w", sub.filter, ctx.Err())
	}
	if err := token.Error(); err != nil {
		if !mistaken(err) {
			l.lose() // paho may know of it before its reader fails
		}
		return fmt.Errorf("subscribe to %q: %w", sub.filter, err)
	}
	for _, granted := range token.Result() {
		if granted == refusedQoS {
			return fmt.Errorf("subscribe to %q: the broker refuses it", sub.filter)
		}
	}
	c.inbox.mu.Lock()
	sub.known = true
	c.inbox.mu.Unlock()
	return nil
}

// mistaken says that paho refused what it was asked for, without asking the broker.
func mistaken(err error) bool {
	return errors.Is(err, paho.ErrInvalidQos) || errors.Is(err, paho.ErrInvalidTopicEmptyString) ||
		errors.Is(err, paho.ErrInvalidTopicMultilevel)
}

// resubscribe asks again for what the broker's session does not have.
func (c *Client) resubscribe(l *link, missing []*subscription) {
	for _, sub := range missing {
		_ = c.ask(c.life, l, sub) // a lost link has a successor; a refusal was told to Subscribe
	}
}

// missing are the subscriptions that a session does not have.
func (b *inbox) missing(present bool) (subs []*subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.subs {
		if !present || !s.known {
			s.known = false
			subs = append(subs, s)
		}
	}
	return subs
}

// add begins a subscription with what came too early for it.
func (b *inbox) add(sub *subscription, c *Client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subs = append(b.subs, sub)
	early := b.unclaimed
	b.unclaimed = nil
	for _, r := range early {
		if !sub.matches(r.from.Topic()) {
			b.unclaimed = append(b.unclaimed, r)
			continue
		}
		sub.queue.Offer(c.delivery(r))
	}
}

func (b *inbox) drop(sub *subscription) {
	sub.queue.Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.subs, sub); i >= 0 {
		b.subs = slices.Delete(b.subs, i, i+1)
	}
}

// arrived takes a message from paho's reading goroutine, which it may not hold up.
func (c *Client) arrived(l *link, m paho.Message) {
	b := &c.inbox
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return
	}
	if r := b.inHand[m.MessageID()]; r != nil && m.Duplicate() && r.same(m) {
		r.link, r.from = l, m
		return
	}
	r := &received{link: l, from: m}
	if b.inHand == nil {
		b.inHand = map[uint16]*received{}
	}
	b.inHand[m.MessageID()] = r
	for _, sub := range b.subs {
		if sub.matches(m.Topic()) {
			sub.queue.Offer(c.delivery(r))
			return
		}
	}
	b.unclaimed = append(b.unclaimed, r)
}

func (r *received) same(m paho.Message) bool {
	return r.from.Topic() == m.Topic() && bytes.Equal(r.from.Payload(), m.Payload())
}

// delivery is what the consumer gets; the inbox's lock is held.
func (c *Client) delivery(r *received) conn.Delivery {
	var told func(error)
	d := conn.Delivery{
		Channel:     r.from.Topic(),
		Redelivered: r.from.Duplicate(),
		Ack:         func(context.Context) error { return c.ack(r, told) },
		Confirm:     func(f func(error)) { told = f },
	}
	m, err := message.FromStructured(r.from.Payload())
	d.Message, d.Err = c.cfg.Recall.Otherwise(m, err, r.from.Payload())
	if d.Err != nil {
		d.Raw = r.from.Payload()
	}
	return d
}

// ack acknowledges over the link that the message came by last.
func (c *Client) ack(r *received, told func(error)) error {
	b := &c.inbox
	b.mu.Lock()
	l, m := r.link, r.from
	if b.inHand[m.MessageID()] == r {
		delete(b.inHand, m.MessageID())
	}
	b.mu.Unlock()
	if l.isLost() {
		return fmt.Errorf("acknowledge %q: connection lost", m.Topic())
	}
	l.acks.add(c, m, told)
	return nil
}

func (s *subscription) matches(topic string) bool {
	for i, level := range s.levels {
		head, rest, more := strings.Cut(topic, "/")
		last := i == len(s.levels)-1
		if level != "+" && level != head || more == last {
			return false
		}
		topic = rest
	}
	return true
}

// stop lets nothing more reach a consumer.
func (b *inbox) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	for _, s := range b.subs {
		s.queue.Stop()
	}
}

// close returns when no consumer is being handed anything.
func (b *inbox) close() {
	b.mu.Lock()
	subs := b.subs
	b.subs, b.unclaimed, b.inHand = nil, nil, nil
	b.mu.Unlock()
	for _, s := range subs {
		s.queue.Close()
	}
}
