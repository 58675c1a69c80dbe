package amqp

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/topology"
)

// How a channel stands on the broker:
//
//   - it is a durable exchange: fanout, or direct where it has parts; then the part that a key
//     belongs to is the routing key;
//   - each group has a durable queue, or one for each part; one that is ordered by a key has a
//     single active consumer;
//   - a channel without groups has such a queue of its own;
//   - a transient channel has no queues but those of its consumers, which end with them;
//   - native dead-lettering is the queue's delivery limit and dead-letter exchange, at least once;
//     only quorum queues have that, so that is what these queues are;
//   - a TTL is the queue's.
//
// All other queues are classic ones. They count no deliveries, so that giving messages back however
// often does no harm, and they outlive a broker that is killed right after they were made.
// RabbitMQ 3.10 forgets a quorum queue that is less than about a second old then.
//
// Who declares nothing finds the layout by marks: see names.go.

// errMissing is what the broker says of a channel that nobody has declared.
var errMissing = errors.New("nobody has declared it")

// layout is what a channel on the broker is, whoever declared it. It does not change.
type layout struct {
	parts     int  // at least 1
	native    bool // the broker dead-letters
	transient bool
}

// part is a queue's number among the group's, below 0 for an only one.
func (l layout) part(i int) int {
	if l.parts == 1 {
		return -1
	}
	return i
}

// Declare makes exchanges and queues. A channel with a level ":id" is ErrUnsupported: an exchange
// for each member of a fleet would be one too many. What exists stays as it is, parts and policies
// included.
func (c *Client) Declare(ctx context.Context, channels []*topology.Channel) error {
	listed := map[string]bool{}
	var first, then []*topology.Channel // who dead-letters needs where to first
	for _, ch := range channels {
		name := topology.ChannelName(ch.Ref)
		if strings.Contains(name, ":") {
			return fmt.Errorf("declare %q: a channel for each id: %w", ch.Ref, conn.ErrUnsupported)
		}
		if what := tooLong(name, ch.Groups); what != "" {
			return fmt.Errorf("declare: %w", c.refused(name, what))
		}
		listed[name] = true
		if deadChannel(ch) == "" {
			first = append(first, ch)
		} else {
			then = append(then, ch)
		}
	}
	return errors.Join(c.declareAll(ctx, first, listed), c.declareAll(ctx, then, listed))
}

// declareAll declares channels side by side.
func (c *Client) declareAll(
	ctx context.Context, channels []*topology.Channel, listed map[string]bool,
) error {
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(mostAsked)
	for _, ch := range channels {
		all.Go(func() error {
			dead := deadChannel(ch)
			if err := c.declareDead(ctx, dead, listed); err != nil {
				return fmt.Errorf("declare %q: %w", dead, err)
			}
			if err := c.declare(ctx, ch); err != nil {
				return fmt.Errorf("declare %q: %w", ch.Ref, err)
			}
			return nil
		})
	}
	return all.Wait()
}

// deadChannel is the channel that the broker dead-letters to, "" for none.
func deadChannel(ch *topology.Channel) string {
	switch dl := ch.DeadLetter; {
	case dl == nil || !dl.Native:
		return ""
	case dl.Channel == "":
		return topology.ChannelName(ch.Ref) + ".dead"
	default:
		return topology.ChannelName(dl.Channel)
	}
}

// declareDead makes a dead-letter channel that is not declared along with its source and does not
// exist.
func (c *Client) declareDead(ctx context.Context, name string, listed map[string]bool) error {
	if name == "" || listed[name] {
		return nil
	}
	_, err := c.layout(ctx, name)
	if !errors.Is(err, errMissing) {
		return err
	}
	return c.declare(ctx, &topology.Channel{Ref: "/" + name})
}

func (c *Client) declare(ctx context.Context, ch *topology.Channel) error {
	name := topology.ChannelName(ch.Ref)
	c.remember(name, ch)
	l, err := c.find(ctx, name)
	if errors.Is(err, errMissing) {
		l = layout{
			parts: max(1, ch.Parallel), native: deadChannel(ch) != "", transient: ch.Transient,
		}
		if ch.Transient {
			l.parts = 1
		}
		err = c.makeExchange(ctx, name, l)
	}
	if err != nil {
		return err
	}
	c.layouts.Store(name, l)
	if l.transient {
		return nil
	}
	groups := ch.Groups
	if len(groups) == 0 {
		groups = []string{""}
	}
	for _, g := range groups {
		if err := c.makeQueues(ctx, name, g, l); err != nil {
			return err
		}
	}
	return nil
}

// remember keeps what was declared, for groups that are not.
func (c *Client) remember(name string, ch *topology.Channel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if before := c.declared[name]; before == nil || len(before.Groups) <= len(ch.Groups) {
		c.declared[name] = ch
	}
}

func (c *Client) remembered(name string) *topology.Channel {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch := c.declared[name]; ch != nil {
		return ch
	}
	return &topology.Channel{Ref: "/" + name}
}

// makeExchange makes a channel's exchange after its marks, so that whoever finds it finds them.
func (c *Client) makeExchange(ctx context.Context, name string, l layout) error {
	return c.ask(ctx, func(ch *amqp.Channel) error {
		var marks []string
		for part := l.parts - 1; part >= 0 && l.parts > 1; part-- {
			marks = append(marks, partMark(name, part))
		}
		if l.native {
			marks = append(marks, nativeMark(name))
		}
		if l.transient {
			marks = append(marks, transientMark(name))
		}
		for _, mark := range marks {
			err := ch.ExchangeDeclare(mark, amqp.ExchangeFanout, true, false, true, false, nil)
			if err != nil {
				return err
			}
		}
		kind := amqp.ExchangeFanout
		if l.parts > 1 {
			kind = amqp.ExchangeDirect
		}
		return ch.ExchangeDeclare(ExchangeName(name), kind, true, false, false, false, nil)
	})
}

// makeQueues makes and binds what a group takes from.
func (c *Client) makeQueues(ctx context.Context, name, group string, l layout) error {
	args := c.queueArguments(name, group, l)
	for i := range l.parts {
		queue := queueName(name, group, l.part(i))
		err := c.ask(ctx, func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare(queue, true, false, false, false, args)
			return err
		})
		if err != nil && !answered(err, amqp.PreconditionFailed) { // that one is there, but otherwise
			return err
		}
		err = c.ask(ctx, func(ch *amqp.Channel) error {
			return ch.QueueBind(queue, routingKey(l, i), ExchangeName(name), false, nil)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// routingKey is what messages of a part are published with.
func routingKey(l layout, part int) string {
	if l.parts == 1 {
		return ""
	}
	return strconv.Itoa(part)
}

// queueArguments are what a group's queues are made with.
//
// The delivery limit counts what comes after the first delivery. Dead-lettering at least once
// needs the overflow to be reject-publish, which without a length limit rejects nothing.
func (c *Client) queueArguments(name, group string, l layout) amqp.Table {
	ch := c.remembered(name)
	args := amqp.Table{}
	if ch.TTL > 0 {
		args["x-message-ttl"] = max(1, ch.TTL.Milliseconds())
	}
	if ch.Priority != "" {
		args["x-max-priority"] = mostUrgent
	}
	if group == "" {
		return args
	}
	if l.parts > 1 || ch.Key != "" {
		args["x-single-active-consumer"] = true
	}
	if dead := deadChannel(ch); dead != "" {
		args["x-queue-type"] = "quorum"
		args["x-delivery-limit"] = int64(max(1, ch.DeadLetter.Attempts) - 1)
		args["x-dead-letter-exchange"] = ExchangeName(dead)
		args["x-dead-letter-routing-key"] = c.deadKey(dead, ch.DeadLetter.Attempts)
		args["x-dead-letter-strategy"] = "at-least-once"
		args["x-overflow"] = "reject-publish"
	}
	return args
}

// attemptsKey begins the routing key that tells of a dead-lettered message how often it may have
// been delivered: the broker itself does not say.
const attemptsKey = "attempts."

// deadKey is what the broker dead-letters with: part 0 of a channel with parts, else of no matter
// to it.
func (c *Client) deadKey(dead string, attempts int) string {
	if l, ok := c.layouts.Load(dead); ok && l.(layout).parts > 1 {
		return routingKey(l.(layout), 0)
	}
	return attemptsKey + strconv.Itoa(attempts)
}

// layout is what a channel is; once it is known it is not asked for again.
func (c *Client) layout(ctx context.Context, name string) (layout, error) {
	if l, ok := c.layouts.Load(name); ok {
		return l.(layout), nil
	}
	l, err := c.find(ctx, name)
	if err == nil {
		c.layouts.Store(name, l)
	}
	return l, err
}

// find asks the broker what a channel is.
func (c *Client) find(ctx context.Context, name string) (layout, error) {
	there, err := c.exists(ctx, ExchangeName(name))
	if err != nil {
		return layout{}, err
	}
	if !there {
		return layout{}, errMissing
	}
	l := layout{parts: 1}
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() (err error) {
		l.native, err = c.exists(ctx, nativeMark(name))
		return err
	})
	all.Go(func() (err error) {
		l.transient, err = c.exists(ctx, transientMark(name))
		return err
	})
	parts := 0
	all.Go(func() error {
		for {
			there, err := c.exists(ctx, partMark(name, parts))
			if err != nil || !there {
				return err
			}
			parts++
		}
	})
	err = all.Wait()
	l.parts = max(1, parts)
	return l, err
}

func (c *Client) exists(ctx context.Context, exchange string) (bool, error) {
	err := c.ask(ctx, func(ch *amqp.Channel) error {
		return ch.ExchangeDeclarePassive(exchange, amqp.ExchangeFanout, true, false, false, false, nil)
	})
	if answered(err, amqp.NotFound) {
		return false, nil
	}
	return err == nil, err
}
