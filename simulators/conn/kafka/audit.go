package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/segmentio/kafka-go"

	"github.com/faultline-sim/faultline/simulators/message"
)

// Depth is how many records of a channel the group has not committed.
func (c *Client) Depth(ctx context.Context, channel, group string) (int64, error) {
	topic := TopicName(channel)
	all, err := c.partitions(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("read depth of %q: %w", channel, err)
	}
	answer, err := c.client().OffsetFetch(ctx, &kafka.OffsetFetchRequest{
		GroupID: group, Topics: map[string][]int{topic: all},
	})
	if err == nil && !errors.Is(answer.Error, kafka.GroupIdNotFound) {
		err = answer.Error
	}
	if err != nil {
		return 0, fmt.Errorf("read offsets of group %q: %w", group, err)
	}
	committed := map[int]int64{}
	for _, p := range answer.Topics[topic] {
		if p.Error != nil && !errors.Is(p.Error, kafka.GroupIdNotFound) {
			return 0, fmt.Errorf("read offsets of group %q: %w", group, p.Error)
		}
		if p.CommittedOffset >= 0 {
			committed[p.Partition] = p.CommittedOffset
		}
	}
	ends, err := c.ends(ctx, topic, all, committed)
	if err != nil {
		return 0, fmt.Errorf("read depth of %q: %w", channel, err)
	}
	var depth int64
	for partition, b := range ends {
		depth += b.last - min(max(b.first, committed[partition]), b.last)
	}
	return depth, nil
}

// bounds are the first offset of a partition and the one behind its last.
type bounds struct{ first, last int64 }

func (c *Client) bounds(ctx context.Context, topic string) (map[int]bounds, error) {
	all, err := c.partitions(ctx, topic)
	if err != nil {
		return nil, err
	}
	return c.ends(ctx, topic, all, nil)
}

// ends are the bounds of partitions. First offsets take a request of their own, so a partition is not
// asked for its first one where a later one is known.
func (c *Client) ends(
	ctx context.Context, topic string, all []int, known map[int]int64,
) (map[int]bounds, error) {
	var ask []kafka.OffsetRequest
	for _, p := range all {
		if _, ok := known[p]; !ok {
			ask = append(ask, kafka.FirstOffsetOf(p))
		}
		ask = append(ask, kafka.LastOffsetOf(p))
	}
	answer, err := c.client().ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{topic: ask},
	})
	if err != nil {
		return nil, err
	}
	found := map[int]bounds{}
	for _, p := range answer.Topics[topic] {
		if p.Error != nil {
			return nil, fmt.Errorf("list offsets of %q: %w", topic, p.Error)
		}
		found[p.Partition] = bounds{first: p.FirstOffset, last: p.LastOffset}
	}
	return found, nil
}

// Audit reads each partition from its beginning to the end it had when the audit began. What is no
// envelope is passed over; consumers are told of it.
func (c *Client) Audit(
	ctx context.Context, channel string, found func(*message.Message) error,
) error {
	topic := TopicName(channel)
	all, err := c.bounds(ctx, topic)
	if err != nil {
		return fmt.Errorf("audit %q: %w", channel, err)
	}
	for _, partition := range slices.Sorted(maps.Keys(all)) {
		if err := c.auditPartition(ctx, slot{topic, partition}, all[partition], found); err != nil {
			return fmt.Errorf("audit %q partition %d: %w", channel, partition, err)
		}
	}
	return nil
}

func (c *Client) auditPartition(
	ctx context.Context, s slot, b bounds, found func(*message.Message) error,
) error {
	for offset := b.first; offset < b.last; {
		answer, err := c.client().Fetch(ctx, &kafka.FetchRequest{
			Topic: s.topic, Partition: s.partition, Offset: offset,
			MinBytes: 1, MaxBytes: mostFetch, MaxWait: longPoll,
		})
		if err == nil {
			err = answer.Error
		}
		if err != nil {
			return err
		}
		before := offset
		err = eachRecord(answer.Records, func(r *kafka.Record) error {
			if r.Offset < offset || r.Offset >= b.last {
				return nil
			}
			offset = r.Offset + 1
			if m, _, err := fromRecord(r, c.cfg.Recall); err == nil {
				return found(m)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if offset == before {
			return fmt.Errorf("nothing more at offset %d of %d", offset, b.last)
		}
	}
	return nil
}
