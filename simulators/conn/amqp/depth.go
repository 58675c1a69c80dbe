package amqp

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"
)

// answerWithin is how long the members of a group have to say what they hold.
const answerWithin = time.Second

// directReply is RabbitMQ's pseudo-queue for answers to who asks.
const directReply = "amq.rabbitmq.reply-to"

// Depth is how many messages stand in a group's queues, and how many its members hold and have not
// settled. The broker tells the first; of the second it keeps account, but tells no client. So each
// member is asked, over the broker, and all must answer: else it is an error, since what is not
// known is not none. What is on the move between the two questions may be counted twice. Consumers
// that are not this client's are not asked, and what they hold is not counted.
func (c *Client) Depth(ctx context.Context, channel, group string) (int64, error) {
	n, err := c.depth(ctx, channel, group)
	if err != nil {
		return 0, fmt.Errorf("depth of %q for %q: %w", channel, group, err)
	}
	return n, nil
}

func (c *Client) depth(ctx context.Context, channel, group string) (int64, error) {
	l, err := c.layout(ctx, channel)
	if errors.Is(err, errMissing) {
		return 0, c.refused(channel, "declare the channel")
	}
	if err != nil {
		return 0, err
	}
	ready, err := c.ready(ctx, channel, group, l)
	if answered(err, amqp.NotFound) {
		if l.transient {
			return 0, nil // nobody listens
		}
		return 0, c.refused(channel, fmt.Sprintf("declare it with group %q", group))
	}
	if err != nil {
		return 0, err
	}
	held, err := c.held(ctx, channel, group)
	return ready + held, err
}

// ready is how many messages stand in a group's queues.
func (c *Client) ready(ctx context.Context, channel, group string, l layout) (int64, error) {
	counts := make([]int64, l.parts)
	all, ctx := errgroup.WithContext(ctx)
	for i := range l.parts {
		all.Go(func() (err error) {
			counts[i], err = c.standing(ctx, queueName(channel, group, l.part(i)))
			return err
		})
	}
	err := all.Wait()
	var n int64
	for _, count := range counts {
		n += count
	}
	return n, err
}

// standing is how many messages of a queue are not delivered.
func (c *Client) standing(ctx context.Context, queue string) (int64, error) {
	count := make(chan int, 1)
	err := c.ask(ctx, func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		if err == nil {
			count <- q.Messages
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return int64(<-count), nil
}

// held is how many deliveries the members of a group hold.
func (c *Client) held(ctx context.Context, channel, group string) (int64, error) {
	sum := make(chan int64, 1)
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	err := c.ask(ctx, func(ch *amqp.Channel) error {
		members, err := declareSmall(ch, membersQueue(channel, group))
		var n int64
		if err == nil && members.Consumers > 0 {
			n, err = inquire(ctx, ch, questions(channel, group), members.Consumers)
			_ = ch.Close() // answers that are late find nobody
		}
		if err == nil {
			sum <- n
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("ask the members of the group: %w", err)
	}
	return <-sum, nil
}

// inquire asks all members of a group and adds up their answers.
func inquire(ctx context.Context, ch *amqp.Channel, asks string, members int) (int64, error) {
	answers, err := ch.Consume(directReply, "", true, false, false, false, nil)
	if err != nil {
		return 0, err
	}
	err = ch.PublishWithContext(ctx, asks, "", false, false, amqp.Publishing{ReplyTo: directReply})
	if err != nil {
		return 0, err
	}
	var sum int64
	for i := range members {
		select {
		case a, ok := <-answers:
			if !ok {
				return 0, errLost
			}
			n, err := strconv.ParseInt(string(a.Body), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read an answer: %w", err)
			}
			sum += n
		case <-ctx.Done():
			return 0, fmt.Errorf("%d of %d have answered: %w", i, members, ctx.Err())
		}
	}
	return sum, nil
}
