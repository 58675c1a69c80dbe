package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/dialed"
	"github.com/faultline-sim/faultline/topology"
)

// mostCopies is how many brokers keep a topic, where there are that many.
const mostCopies = 3

// TopicName is a channel's name as Kafka allows it: a slash becomes a dot, any other byte that is
// not a letter, a digit, ".", "-" or "_" becomes "_" and its hexadecimal code.
func TopicName(channel string) string {
	var b strings.Builder
	for i := range len(channel) {
		switch c := channel[i]; {
		case c == '/':
			b.WriteByte('.')
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '.', c == '-', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return b.String()
}

// Declare makes topics with as many partitions as the channel's parallel. A channel with a level
// ":id" is ErrUnsupported: Kafka has no wildcards.
func (c *Client) Declare(ctx context.Context, channels []*topology.Channel) error {
	var topics []kafka.TopicConfig
	seen := map[string]bool{}
	copies := min(mostCopies, len(c.cfg.Dialer.Endpoints()))
	for _, ch := range channels {
		name := topology.ChannelName(ch.Ref)
		if strings.Contains(name, ":") {
			return fmt.Errorf("declare %q: a channel for each id: %w", ch.Ref, conn.ErrUnsupported)
		}
		topic := TopicName(name)
		if !seen[topic] { // a request that names a topic twice is refused whole
			seen[topic] = true
			topics = append(topics, kafka.TopicConfig{
				Topic: topic, NumPartitions: max(1, ch.Parallel), ReplicationFactor: copies,
			})
		}
	}
	if len(topics) == 0 {
		return nil
	}
	made, err := c.client().CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: topics})
	if err != nil {
		return fmt.Errorf("declare topics: %w", err)
	}
	for topic, err := range made.Errors {
		if err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
			return fmt.Errorf("declare topic %q: %w", topic, err)
		}
	}
	return nil
}

// partitions are a topic's partitions, from 0. The slice is shared.
func (c *Client) partitions(ctx context.Context, topic string) ([]int, error) {
	if all, ok := c.topics.Load(topic); ok {
		return all.([]int), nil
	}
	for try := 1; ; try++ {
		epoch := c.epoch.Load()
		all, err := c.askPartitions(ctx, topic)
		if err == nil {
			c.topics.Store(topic, all)
			return all, nil
		}
		if try == mostTries || !nothingWritten(err) {
			return nil, err
		}
		c.refresh(epoch)
		if wait := c.life.PauseBefore(ctx, try); wait != nil {
			return nil, errors.Join(wait, err)
		}
	}
}

func (c *Client) askPartitions(ctx context.Context, topic string) ([]int, error) {
	m, err := c.client().Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, err
	}
	for _, t := range m.Topics {
		if t.Name == topic && t.Error == nil && len(t.Partitions) > 0 {
			all := make([]int, len(t.Partitions))
			for i := range all {
				all[i] = i
			}
			return all, nil
		}
	}
	return nil, fmt.Errorf("find topic %q: %w", topic, kafka.UnknownTopicOrPartition)
}

// nothingWritten says that an error is an answer, or the lack of a way to ask, after which another
// try cannot write twice and may find things changed.
func nothingWritten(err error) bool {
	for _, known := range []error{
		kafka.UnknownTopicOrPartition, kafka.LeaderNotAvailable, kafka.NotLeaderForPartition,
		kafka.NotEnoughReplicas, kafka.BrokerNotAvailable, kafka.GroupCoordinatorNotAvailable,
		kafka.NotCoordinatorForGroup, kafka.GroupLoadInProgress,
		protocol.ErrNoTopic, protocol.ErrNoPartition, protocol.ErrNoLeader,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// asUnknown marks an error as unknown unless it is known that nothing was written.
func asUnknown(err error) error {
	var code kafka.Error
	answered := errors.As(err, &code) &&
		code != kafka.RequestTimedOut && code != kafka.NotEnoughReplicasAfterAppend
	if answered || nothingWritten(err) || errors.Is(err, dialed.ErrDial) {
		return err
	}
	return fmt.Errorf("%w: %w", conn.ErrUnknown, err)
}
