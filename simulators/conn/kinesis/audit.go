package kinesis

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/faultline-sim/faultline/simulators/message"
)

// Audit reads each shard, closed ones too, from its oldest record to its present end: an answer
// with nothing in it and nothing behind it. What is no envelope is passed over; consumers are told
// of it.
func (c *Client) Audit(
	ctx context.Context, channel string, found func(*message.Message) error,
) error {
	stream := StreamName(channel)
	shards, err := c.shards(ctx, stream)
	if err != nil {
		return fmt.Errorf("audit %q over %s: %w", channel, c.link.Wire(), err)
	}
	for _, shard := range shards {
		err := c.reader(stream, *shard.ShardId, "").drain(ctx, func(r *types.Record) error {
			if m, err := fromRecord(r, c.cfg.Recall); err == nil {
				return found(m)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("audit %q over %s: %w", channel, c.link.Wire(), err)
		}
	}
	return nil
}
