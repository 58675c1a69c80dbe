package amqp

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/life"
	"github.com/faultline-sim/faultline/simulators/message"
)

// Audit reads what stands in a channel's own queue: it gets each message, acknowledges none, and
// gives all back, which leaves them in their places. Of a channel that has only groups' queues the
// broker can tell how much stands there, not what, without its counting as a delivery: that is
// ErrUnsupported. What is no envelope is passed over.
func (c *Client) Audit(
	ctx context.Context, channel string, found func(*message.Message) error,
) error {
	if err := c.audit(ctx, channel, found); err != nil {
		return fmt.Errorf("audit %q: %w", channel, err)
	}
	return nil
}

func (c *Client) audit(
	ctx context.Context, channel string, found func(*message.Message) error,
) error {
	l, err := c.layout(ctx, channel)
	if errors.Is(err, errMissing) {
		return c.refused(channel, "declare the channel")
	}
	if err != nil {
		return err
	}
	for i := range l.parts {
		queue := queueName(channel, "", l.part(i))
		err := c.auditQueue(ctx, queue, found)
		if answered(err, amqp.NotFound) {
			return fmt.Errorf("it has no queue %q: declare it without groups: %w",
				queue, conn.ErrUnsupported)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// auditQueue reads as many messages as a queue has when it begins.
func (c *Client) auditQueue(
	ctx context.Context, queue string, found func(*message.Message) error,
) error {
	n, err := c.standing(ctx, queue)
	if err != nil || n == 0 {
		return err
	}
	s, err := c.main.session(ctx)
	if err != nil {
		return err
	}
	read := make(chan *amqp.Delivery)
	done := make(chan error, 1)
	reading, stop := context.WithCancel(ctx)
	defer stop()
	if !c.life.Go(func() { done <- s.read(reading, queue, n, read) }) {
		return life.ErrClosed
	}
	got := int64(0)
	for {
		select {
		case d := <-read:
			got++
			if m, err := c.fromDelivery(d); err == nil {
				if err := found(m); err != nil {
					return err
				}
			}
		case err := <-done:
			if err != nil {
				return err
			}
			return c.givenBack(ctx, queue, got)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// read gets up to n messages on an AMQP channel of its own, and closes it when they were read: that
// gives them back.
func (s *session) read(
	ctx context.Context, queue string, n int64, read chan<- *amqp.Delivery,
) error {
	ch, err := s.conn.Channel()
	if err != nil {
		return err
	}
	for ; n > 0 && err == nil; n-- {
		var d amqp.Delivery
		var ok bool
		if d, ok, err = ch.Get(queue, false); err != nil || !ok {
			break
		}
		select {
		case read <- &d:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return errors.Join(err, ch.Close())
}

// givenBack returns when a queue has n messages again.
func (c *Client) givenBack(ctx context.Context, queue string, n int64) error {
	for try := 1; ; try++ {
		standing, err := c.standing(ctx, queue)
		if err != nil || standing >= n {
			return err
		}
		if err := c.pause(ctx, try); err != nil {
			return err
		}
	}
}
