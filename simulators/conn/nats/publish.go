package nats

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
)

// Publish sends a message to the part of its key (without a key each part in turn) and returns when
// the stream has stored it; the receipt's offset is its sequence number in the stream. Messages
// published one after the other are stored in that order; any number may be on their way at once. A
// transient channel has a message when the server has it.
func (c *Client) Publish(ctx context.Context, channel string, m *message.Message) (
	conn.Receipt, error,
) {
	r, err := c.publish(ctx, channel, m)
	if err != nil {
		return conn.Receipt{}, fmt.Errorf("publish to %q: %w", channel, err)
	}
	return r, nil
}

func (c *Client) publish(ctx context.Context, channel string, m *message.Message) (
	r conn.Receipt, err error,
) {
	if err := m.Check(); err != nil {
		return r, err
	}
	k, err := c.find(ctx, channel)
	if err != nil {
		return r, err
	}
	part := c.partFor(m.Key, k.parts)
	msg := toMsg(subject(channel, part), m)
	l, err := c.link()
	if err != nil {
		return r, err
	}
	if most := l.nc.MaxPayload(); size(msg) > most {
		return r, fmt.Errorf("%w: %s takes %d bytes with headers at most, the message has %d; "+
			"send less or raise the server's max_payload",
			conn.ErrRefused, c.cfg.Dialer.Wire(), most, size(msg))
	}
	ctx, cancel := l.limit(ctx)
	defer cancel()
	if err := l.out.room(ctx); err != nil {
		return r, err
	}
	if k.transient {
		return r, c.outcome(l.send(ctx, msg))
	}
	r, err = l.store(ctx, msg, part)
	return r, c.outcome(err)
}

func (l *link) store(ctx context.Context, msg *nats.Msg, part int) (r conn.Receipt, err error) {
	if l.nc.IsClosed() {
		return r, errDown
	}
	ack, err := l.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
	if err != nil {
		return r, err
	}
	return conn.Receipt{Partition: int32(part), Offset: int64(ack.Sequence)}, nil
}

// send is a publish by core NATS: the server has what stands before a ping that it has answered.
func (l *link) send(ctx context.Context, msg *nats.Msg) error {
	if l.nc.IsClosed() {
		return errDown
	}
	if err := l.nc.PublishMsg(msg); err != nil {
		return err
	}
	return l.nc.FlushWithContext(ctx)
}

// outcome says of an error whether the message may have been stored.
func (c *Client) outcome(err error) error {
	var answered *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w: no stream of %s takes it; declare the channel: %w",
			conn.ErrRefused, c.cfg.Dialer.Wire(), err)
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %s: %w", conn.ErrRefused, c.cfg.Dialer.Wire(), err)
	case errors.As(err, &answered), errors.Is(err, errDown):
		return err
	}
	return fmt.Errorf("%w: %w", conn.ErrUnknown, err)
}

func (c *Client) partFor(key string, parts int) int {
	if key != "" {
		return partOf(key, parts)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	return int(c.turn % uint32(parts))
}
