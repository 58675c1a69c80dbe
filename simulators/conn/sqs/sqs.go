// Package sqs is the client of Amazon SQS: aws-sdk-go-v2 over a wire.
//
// It is used in the run step of load → plan → run → check → report. A channel is a queue with one
// group of consumers, a FIFO queue where the channel has a key. It promises that Publish returns
// when the service has stored the message, that one try is one request (only answers that say
// "nothing was written" are tried again), and that a message is removed only when it was
// acknowledged. It also serves the client of topics, whose groups have queues. It may not import an
// engine or the fabric's making. It is the only importer of the SDK's SQS client.
//
// Source: Amazon SQS Developer Guide and API reference.
package sqs

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/aws"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
)

// declaredAtOnce is how many channels are declared at once.
const declaredAtOnce = 8

// Client is one SQS client. It implements conn.Broker and conn.Crasher.
type Client struct {
	cfg    conn.Config
	link   *aws.Link
	queues *Queues
	copies *Copies
}

var (
	_ conn.Broker  = (*Client)(nil)
	_ conn.Crasher = (*Client)(nil)
)

// New makes a client; it connects when it is first used.
func New(cfg conn.Config) *Client {
	link := aws.NewLink(cfg)
	return &Client{cfg: cfg, link: link, queues: NewQueues(link, cfg.Recall), copies: NewCopies()}
}

// Connect returns when the service has answered.
func (c *Client) Connect(ctx context.Context) error { return c.link.Connect(ctx, c.queues.Probe) }

// Declare makes a queue for each channel, and the queues of dead letters where SQS itself is to
// give messages up. A channel with a level ":id" or more than one group is ErrUnsupported.
func (c *Client) Declare(ctx context.Context, channels []*topology.Channel) error {
	ordered := map[string]bool{} // dead letters of a FIFO queue go to a FIFO queue
	for _, ch := range channels {
		if err := check(ch); err != nil {
			return err
		}
		if dead := NativeDead(ch); dead != "" && ch.Key != "" {
			ordered[dead] = true
		}
	}
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(declaredAtOnce)
	for _, ch := range channels {
		all.Go(func() error {
			_, err := c.queues.Declare(ctx, specOf(ch, ordered))
			if err != nil {
				return fmt.Errorf("declare %q over %s: %w", ch.Ref, c.link.Wire(), err)
			}
			return nil
		})
	}
	return all.Wait()
}

func check(ch *topology.Channel) error {
	switch {
	case strings.Contains(topology.ChannelName(ch.Ref), ":"):
		return fmt.Errorf("declare %q: a channel for each id: %w", ch.Ref, conn.ErrUnsupported)
	case len(ch.Groups) > 1:
		return fmt.Errorf("declare %q: groups %s: a queue has one group of consumers, "+
			"use protocol sns: %w", ch.Ref, strings.Join(ch.Groups, ", "), conn.ErrUnsupported)
	}
	return nil
}

func specOf(ch *topology.Channel, ordered map[string]bool) Spec {
	name := topology.ChannelName(ch.Ref)
	s := Spec{
		Name: Name(name), FIFO: ch.Key != "" || ordered[name], Retention: ch.TTL,
	}
	if len(ch.Groups) > 0 {
		s.Group = ch.Groups[0]
	}
	if dead := NativeDead(ch); dead != "" {
		s.Dead, s.Attempts = Name(dead), ch.DeadLetter.Attempts
	}
	return s
}

// NativeDead is the name of the channel that the service itself moves dead letters to, "" for none.
func NativeDead(ch *topology.Channel) string {
	if ch.DeadLetter == nil || !ch.DeadLetter.Native {
		return ""
	}
	return topology.ChannelName(ch.DeadLetter.Channel)
}

// Publish sends a message to a channel's queue, to the message group of its key where that is a
// FIFO queue. Messages wait for each other's requests, ten go in one.
func (c *Client) Publish(ctx context.Context, channel string, m *message.Message) (
	conn.Receipt, error,
) {
	l, err := Write(m, MostBytes)
	if err == nil {
		told := c.copies.Mark(l, channel)
		err = c.queues.put(ctx, Name(channel), l)
		told(err)
	}
	return conn.Receipt{}, Explain(err, channel, c.link.Wire())
}

// Write is a message as a letter of at most so many bytes.
func Write(m *message.Message, most int) (*Letter, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	if err := fits(len(m.Data), most); err != nil {
		return nil, err
	}
	l := ToLetter(m)
	return l, fits(l.Size(), most)
}

// Subscribe takes part in the channel's group. See Queues.Subscribe.
func (c *Client) Subscribe(ctx context.Context, sub conn.Subscription) error {
	if err := c.queues.Subscribe(ctx, Name(sub.Channel), sub); err != nil {
		return fmt.Errorf("subscribe to %q over %s: %w", sub.Channel, c.link.Wire(), err)
	}
	return nil
}

// Depth is how many messages stand in the channel's queue, by the service's own count, which is
// approximate; its group is the only one there is.
func (c *Client) Depth(ctx context.Context, channel, _ string) (int64, error) {
	n, err := c.queues.Depth(ctx, Name(channel))
	if err != nil {
		return 0, fmt.Errorf("read depth of %q over %s: %w", channel, c.link.Wire(), err)
	}
	return n, nil
}

// Audit reads all that stands in the channel's queue. See Queues.Audit.
func (c *Client) Audit(
	ctx context.Context, channel string, found func(*message.Message) error,
) error {
	if err := c.queues.Audit(ctx, Name(channel), found); err != nil {
		return fmt.Errorf("audit %q over %s: %w", channel, c.link.Wire(), err)
	}
	return nil
}

// Close ends the subscriptions, which settle what is settled and give the rest back, then all
// connections. It may not be called from within a subscription's Handle.
func (c *Client) Close() error { return c.link.Close() }

// Crash ends the client at once: what it has in hand becomes visible to others by itself.
func (c *Client) Crash() { c.link.Crash() }
