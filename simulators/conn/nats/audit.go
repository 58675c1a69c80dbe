package nats

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
)

// Depth is how many messages of a channel the group has not acknowledged: those never delivered to
// it and those in hand. What was given up for good is not among them.
func (c *Client) Depth(ctx context.Context, channel, group string) (int64, error) {
	n, err := c.depth(ctx, channel, group)
	if err != nil {
		return 0, fmt.Errorf("read depth of %q for group %q: %w", channel, group, err)
	}
	return n, nil
}

func (c *Client) depth(ctx context.Context, channel, group string) (n int64, err error) {
	k, err := c.find(ctx, channel)
	if err != nil {
		return 0, err
	}
	if k.transient {
		return 0, conn.ErrUnsupported
	}
	l, err := c.link()
	if err != nil {
		return 0, err
	}
	limited, cancel := l.limit(ctx)
	defer cancel()
	for part := range k.parts {
		consumer, err := l.js.Consumer(limited, Token(channel), consumerName(group, part))
		if err != nil {
			return 0, err
		}
		info := consumer.CachedInfo()
		n += int64(info.NumPending) + int64(info.NumAckPending)
	}
	return n, nil
}

// Audit reads the channel's stream from its beginning to the end it had when the audit began. What
// is no envelope is passed over; consumers are told of it. A transient channel holds nothing.
func (c *Client) Audit(
	ctx context.Context, channel string, found func(*message.Message) error,
) error {
	k, err := c.find(ctx, channel)
	if err == nil && k.transient {
		err = conn.ErrUnsupported
	}
	if err == nil {
		err = c.readAll(ctx, channel, found)
	}
	if err != nil {
		return fmt.Errorf("audit %q: %w", channel, err)
	}
	return nil
}

func (c *Client) readAll(
	ctx context.Context, channel string, found func(*message.Message) error,
) error {
	l, err := c.link()
	if err != nil {
		return err
	}
	limited, cancel := l.limit(ctx)
	s, err := l.js.Stream(limited, Token(channel))
	cancel()
	if err != nil {
		return err
	}
	state := s.CachedInfo().State
	if state.Msgs == 0 {
		return nil
	}
	reader, err := l.js.OrderedConsumer(ctx, Token(channel), jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverAllPolicy, InactiveThreshold: 2 * answerTimeout,
	})
	if err != nil {
		return err
	}
	all, err := reader.Messages()
	if err != nil {
		return err
	}
	defer all.Stop()
	for {
		msg, err := all.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		if m, err := fromMsg(msg.Headers(), msg.Data(), c.cfg.Recall); err == nil {
			if err := found(m); err != nil {
				return err
			}
		}
		if meta.Sequence.Stream >= state.LastSeq || meta.NumPending == 0 {
			return nil
		}
	}
}
