package pubsub

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/topology"
)

// What the service takes.
const (
	leastAttempts, mostAttempts   = 5, 100 // deliveries before a message is dead-lettered
	leastRetention, mostRetention = 10 * time.Minute, 31 * 24 * time.Hour
	ackDeadline                   = 10 // seconds, the least of a subscription
)

// settings are what the subscriptions of a channel are made with.
type settings struct {
	ordered  bool
	attempts int    // 0 without native dead-lettering
	dead     string // the dead-letter channel's name
	retained time.Duration
}

// Declare makes a topic for each channel, and a subscription for each of its groups. A channel
// without groups, and one that others dead-letter to, has one of its own, which an audit reads. A
// channel with a key has its subscriptions deliver in order. A channel with a level ":id" is
// ErrUnsupported: Pub/Sub has no wildcards. So is a native dead-letter count beyond 5 to 100.
// Parallel says nothing here: Pub/Sub spreads over consumers by itself. TTL becomes the retention
// of the subscriptions from 10 minutes on; what is shorter is the consumer's affair.
func (c *Client) Declare(ctx context.Context, channels []*topology.Channel) error {
	dead := map[string]bool{}
	for _, ch := range channels {
		if err := check(ch); err != nil {
			return err
		}
		if ch.DeadLetter != nil {
			dead[deadName(ch)] = true
		}
	}
	for _, ch := range channels {
		err := c.declare(ctx, ch, dead)
		if isRefusal(err) {
			err = fmt.Errorf("%w: %w", conn.ErrRefused, err)
		}
		if err != nil {
			return fmt.Errorf("declare %q on %s: %w", ch.Ref, c.cfg.Dialer.Wire(), err)
		}
	}
	return nil
}

func check(ch *topology.Channel) error {
	switch {
	case strings.Contains(topology.ChannelName(ch.Ref), ":"):
		return fmt.Errorf("declare %q: a channel for each id: %w", ch.Ref, conn.ErrUnsupported)
	case ch.DeadLetter == nil || !ch.DeadLetter.Native:
		return nil
	}
	if n := ch.DeadLetter.Attempts; n < leastAttempts || n > mostAttempts {
		return fmt.Errorf("declare %q: dead-letter after %d deliveries: %w: Pub/Sub takes %d to %d",
			ch.Ref, n, conn.ErrUnsupported, leastAttempts, mostAttempts)
	}
	return nil
}

func deadName(ch *topology.Channel) string {
	if ch.DeadLetter.Channel == "" {
		return topology.ChannelName(ch.Ref) + ".dead"
	}
	return topology.ChannelName(ch.DeadLetter.Channel)
}

func (c *Client) declare(ctx context.Context, ch *topology.Channel, dead map[string]bool) error {
	name, set := topology.ChannelName(ch.Ref), settingsOf(ch)
	groups := slices.Clone(ch.Groups)
	if len(groups) == 0 || dead[name] {
		groups = append(groups, "")
	}
	if set.attempts > 0 {
		if err := c.makeTopic(ctx, set.dead, []string{""}, settings{}); err != nil {
			return err
		}
	}
	if err := c.makeTopic(ctx, name, groups, set); err != nil {
		return err
	}
	c.mu.Lock()
	c.declared[name] = set
	c.mu.Unlock()
	return nil
}

func settingsOf(ch *topology.Channel) settings {
	s := settings{ordered: ch.Key != ""}
	if ch.TTL >= leastRetention {
		s.retained = min(ch.TTL, mostRetention)
	}
	if ch.DeadLetter != nil && ch.DeadLetter.Native {
		s.attempts, s.dead = ch.DeadLetter.Attempts, deadName(ch)
	}
	return s
}

func (c *Client) makeTopic(ctx context.Context, channel string, groups []string, s settings) error {
	err := c.insist(ctx, func(ctx context.Context) error {
		_, err := c.publisher.CreateTopic(ctx, &pb.Topic{Name: topicName(channel)})
		return err
	})
	if err != nil && status.Code(err) != codes.AlreadyExists {
		return fmt.Errorf("make topic %q: %w", TopicID(channel), err)
	}
	for _, group := range groups {
		if err := c.makeSubscription(ctx, channel, group, s); err != nil {
			return fmt.Errorf("make subscription %q: %w", SubscriptionID(channel, group), err)
		}
	}
	return nil
}

func (c *Client) makeSubscription(
	ctx context.Context, channel, group string, s settings,
) error {
	sub := &pb.Subscription{
		Name: subscriptionName(channel, group), Topic: topicName(channel),
		AckDeadlineSeconds: ackDeadline,
	}
	if s.retained > 0 {
		sub.MessageRetentionDuration = durationpb.New(s.retained)
	}
	if group != "" { // an audit reads all that stands there, also behind others of a key
		sub.EnableMessageOrdering = s.ordered
		if s.attempts > 0 {
			sub.DeadLetterPolicy = &pb.DeadLetterPolicy{
				DeadLetterTopic: topicName(s.dead), MaxDeliveryAttempts: int32(s.attempts),
			}
		}
	}
	err := c.insist(ctx, func(ctx context.Context) error {
		_, err := c.subscriber.CreateSubscription(ctx, sub)
		return err
	})
	if status.Code(err) == codes.AlreadyExists {
		return nil
	}
	return err
}

// settings of a channel that this client did not declare are the careful ones.
func (c *Client) settings(channel string) settings {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.declared[channel]; ok {
		return s
	}
	return settings{ordered: true}
}
