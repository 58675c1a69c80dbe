package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"
)

// commit writes offsets of a group and returns when an answer says that they are written, or that
// they are refused. It goes over the client's own connections. The connection of the group's
// generation is for heartbeats alone: the library holds a lock of it while it waits for an answer,
// so a late answer to a commit would hold up the heartbeats, and stop the clock where time is
// virtual.
func (c *Client) commit(ctx context.Context, r *kafka.OffsetCommitRequest) error {
	for try := 1; ; try++ {
		epoch := c.epoch.Load()
		err := c.tryCommit(ctx, r)
		if err == nil || try == mostTries || !nothingWritten(err) {
			return err
		}
		c.refresh(epoch)
		if c.life.PauseBefore(ctx, try) != nil {
			return err
		}
	}
}

// tryCommit is one request to the group's coordinator.
func (c *Client) tryCommit(ctx context.Context, r *kafka.OffsetCommitRequest) error {
	answer, err := c.client().OffsetCommit(ctx, r)
	if err != nil {
		return err
	}
	return refusals(answer)
}

// refusals are the partitions whose offset was not written, nil for none.
func refusals(answer *kafka.OffsetCommitResponse) error {
	var all []error
	for topic, partitions := range answer.Topics {
		for _, p := range partitions {
			if p.Error != nil {
				all = append(all, fmt.Errorf("commit %s partition %d: %w", topic, p.Partition, p.Error))
			}
		}
	}
	return errors.Join(all...)
}
