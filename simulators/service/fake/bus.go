package fake

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
)

// Bus is every broker of a test: it keeps what was published, and hands it to one client of each
// group. A delivery that is given back comes again at once. The zero value is ready.
type Bus struct {
	// Answer is asked before a publish takes effect; an error is the publish's. Nil is success.
	// It may wait for ctx.
	Answer func(ctx context.Context, channel string, m *message.Message) error
	// Deliveries is how many times a message is delivered before the bus dead-letters it; 0 is for
	// ever. Then deliveries tell their count, and can be rejected where Rejects is set.
	Deliveries int
	Rejects    bool
	// ConfirmAfter is how long after an acknowledgement the consumer is told that the bus has it; 0
	// is when it returns.
	ConfirmAfter time.Duration

	mu        sync.Mutex
	published []Published
	subs      []*subscription
	acked     []string
	nacked    []string
}

// Published is one message that the bus took.
type Published struct {
	Channel string
	Message *message.Message
}

type subscription struct {
	conn.Subscription
	ctx context.Context
}

// Published is all that the bus took for a channel, in order.
func (b *Bus) Published(channel string) (ms []*message.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.published {
		if p.Channel == channel {
			ms = append(ms, p.Message)
		}
	}
	return ms
}

// Settled are the ids of the messages that were acknowledged and given back, in order.
func (b *Bus) Settled() (acked, nacked []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.acked), slices.Clone(b.nacked)
}

// Send hands a message to the subscribers of a channel, as if somebody had published it.
func (b *Bus) Send(channel string, m *message.Message) { b.hand(channel, m, 1) }

// hand makes the n-th delivery of a message to each group.
func (b *Bus) hand(channel string, m *message.Message, n int) {
	if b.Deliveries > 0 && n > b.Deliveries {
		return // dead-lettered
	}
	b.mu.Lock()
	groups := map[string]bool{}
	var to []*subscription
	for _, s := range b.subs {
		if s.ctx.Err() == nil && covers(s.Channel, channel) && !groups[s.Group] {
			groups[s.Group] = true
			to = append(to, s)
		}
	}
	b.mu.Unlock()
	for _, s := range to {
		d := conn.Delivery{
			Message: m, Channel: channel, Redelivered: n > 1,
			Ack: func(context.Context) error {
				b.settle(&b.acked, m)
				return nil
			},
			Nack: func(context.Context) error {
				b.settle(&b.nacked, m)
				go b.hand(channel, m, n+1)
				return nil
			},
		}
		if b.ConfirmAfter > 0 {
			d.Confirm = func(told func(error)) { time.AfterFunc(b.ConfirmAfter, func() { told(nil) }) }
		}
		if b.Deliveries > 0 {
			d.Attempt = n
		}
		if b.Rejects {
			d.Reject = func(context.Context) error {
				b.settle(&b.nacked, m)
				return nil
			}
		}
		s.Handle(d)
	}
}

func (b *Bus) settle(list *[]string, m *message.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*list = append(*list, m.ID())
}

// covers says that a subscription's channel, which may have segments ":id", means a channel.
func covers(pattern, channel string) bool {
	ours, theirs := strings.Split(pattern, "/"), strings.Split(channel, "/")
	return slices.EqualFunc(ours, theirs, func(a, b string) bool {
		return a == b || strings.HasPrefix(a, ":")
	})
}

// Client is one client of the bus.
type Client struct {
	bus  *Bus
	life context.Context
	end  context.CancelFunc
}

// Client makes a client.
func (b *Bus) Client() *Client {
	life, end := context.WithCancel(context.Background())
	return &Client{bus: b, life: life, end: end}
}

var (
	_ conn.Broker  = (*Client)(nil)
	_ conn.Crasher = (*Client)(nil)
)

// Connect works at once.
func (c *Client) Connect(ctx context.Context) error { return ctx.Err() }

// Declare has nothing to do.
func (c *Client) Declare(context.Context, []*topology.Channel) error { return nil }

// Publish asks Answer, keeps the message and hands it on.
func (c *Client) Publish(
	ctx context.Context, channel string, m *message.Message,
) (conn.Receipt, error) {
	if c.bus.Answer != nil {
		if err := c.bus.Answer(ctx, channel, m); err != nil {
			return conn.Receipt{}, err
		}
	}
	c.bus.mu.Lock()
	c.bus.published = append(c.bus.published, Published{channel, m})
	c.bus.mu.Unlock()
	c.bus.hand(channel, m, 1)
	return conn.Receipt{}, nil
}

// Subscribe takes what is handed out from now on.
func (c *Client) Subscribe(ctx context.Context, s conn.Subscription) error {
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(c.life, cancel)
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	c.bus.subs = append(c.bus.subs, &subscription{Subscription: s, ctx: ctx})
	return nil
}

// Depth is not known.
func (c *Client) Depth(context.Context, string, string) (int64, error) {
	return 0, conn.ErrUnsupported
}

// Audit is not possible.
func (c *Client) Audit(context.Context, string, func(*message.Message) error) error {
	return conn.ErrUnsupported
}

// Crash ends the client.
func (c *Client) Crash() { c.end() }

// Close ends the client.
func (c *Client) Close() error {
	c.end()
	return nil
}
