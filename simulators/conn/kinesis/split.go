package kinesis

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// SplitShards splits each open shard of a channel in the middle of its keys, one after the other as
// the service asks, and says how many it has split. A shard's records stay in it; what is published
// from then on goes to its children, which a group takes from when it has read the parent to its
// end. Where an account may have no more shards it tries until ctx ends.
func (c *Client) SplitShards(ctx context.Context, channel string) (int, error) {
	stream := StreamName(channel)
	fail := func(n int, err error) (int, error) {
		return n, fmt.Errorf("split shards of %q over %s: %w", channel, c.link.Wire(), err)
	}
	shards, err := c.shards(ctx, stream)
	if err != nil {
		return fail(0, err)
	}
	n := 0
	for i := range shards {
		middle, ok := middleOf(&shards[i])
		if !ok {
			continue
		}
		if err := c.split(ctx, stream, *shards[i].ShardId, middle); err != nil {
			return fail(n, err)
		}
		n++
	}
	return n, nil
}

// split splits one shard when no other change of the stream is under way.
func (c *Client) split(ctx context.Context, stream, shard, at string) error {
	for n := 1; ; n++ {
		if err := c.awaitStream(ctx, stream); err != nil {
			return err
		}
		err := c.ask(ctx, func(ctx context.Context) error {
			_, err := c.streams.SplitShard(ctx, &kinesis.SplitShardInput{
				StreamName: &stream, ShardToSplit: &shard, NewStartingHashKey: &at,
			})
			return err
		})
		var busy *types.ResourceInUseException
		if err == nil {
			return c.awaitStream(ctx, stream)
		}
		if !errors.As(err, &busy) {
			return fmt.Errorf("split %q: %w", shard, err)
		}
		if wait := c.link.Pause(ctx, n); wait != nil {
			return errors.Join(wait, err)
		}
	}
}

// middleOf is where the second half of an open shard's hash keys begins; false for a closed shard
// and for one of too few keys.
func middleOf(s *types.Shard) (key string, ok bool) {
	if s.SequenceNumberRange != nil && s.SequenceNumberRange.EndingSequenceNumber != nil {
		return "", false
	}
	if s.HashKeyRange == nil {
		return "", false
	}
	first, ok1 := new(big.Int).SetString(*s.HashKeyRange.StartingHashKey, 10)
	last, ok2 := new(big.Int).SetString(*s.HashKeyRange.EndingHashKey, 10)
	if !ok1 || !ok2 {
		return "", false
	}
	middle := new(big.Int).Add(first, last)
	middle.Rsh(middle.Add(middle, big.NewInt(1)), 1)
	if middle.Cmp(new(big.Int).Add(first, big.NewInt(1))) <= 0 || middle.Cmp(last) >= 0 {
		return "", false
	}
	return middle.String(), true
}
