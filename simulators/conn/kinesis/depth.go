package kinesis

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"golang.org/x/sync/errgroup"
)

// Depth is how many records of a channel stand behind the group's checkpoints. The service has no
// such count, so the client keeps one: the sequence numbers of what it has seen, of which each call
// reads what is new. The first call reads all from the checkpoints on.
func (c *Client) Depth(ctx context.Context, channel, group string) (int64, error) {
	fail := func(err error) (int64, error) {
		return 0, fmt.Errorf("read depth of %q over %s: %w", channel, c.link.Wire(), err)
	}
	b := c.backlog(StreamName(channel))
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return fail(ctx.Err())
	}
	shards, err := c.shards(ctx, b.stream)
	if err != nil {
		return fail(err)
	}
	rows, err := c.leases(channel, group).all(ctx)
	if err != nil {
		return fail(err)
	}
	checkpoints := map[string]string{}
	for _, r := range rows {
		checkpoints[r.key] = r.checkpoint
	}
	depth, err := b.count(ctx, shards, checkpoints)
	if err != nil {
		return fail(err)
	}
	return depth, nil
}

// backlog is what one client knows of a stream's records.
type backlog struct {
	client *Client
	stream string
	turn   chan struct{}    // capacity 1: held while the rest is used
	tails  map[string]*tail // by shard
}

// tail are the sequence numbers of a shard's records behind from, in order.
type tail struct {
	from      string
	sequences []string
	reader    *reader
}

func (c *Client) backlog(stream string) *backlog {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.backlogs[stream]
	if b == nil {
		b = &backlog{
			client: c, stream: stream, turn: make(chan struct{}, 1), tails: map[string]*tail{},
		}
		c.backlogs[stream] = b
	}
	return b
}

// count is how many records stand behind the checkpoints, by shard.
func (b *backlog) count(
	ctx context.Context, shards []types.Shard, checkpoints map[string]string,
) (int64, error) {
	depths := make([]int64, len(shards))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i := range shards {
		id := *shards[i].ShardId
		checkpoint := checkpoints[id]
		if checkpoint == shardEnd {
			continue
		}
		t := b.tail(id, checkpoint)
		group.Go(func() (err error) {
			depths[i], err = t.behind(ctx, checkpoint)
			return err
		})
	}
	err := group.Wait()
	var depth int64
	for _, d := range depths {
		depth += d
	}
	return depth, err
}

// tail is what is known of a shard, from the checkpoint on at least.
func (b *backlog) tail(shard, checkpoint string) *tail {
	t := b.tails[shard]
	if t == nil || compareSequences(checkpoint, t.from) < 0 {
		t = &tail{from: checkpoint, reader: b.client.reader(b.stream, shard, checkpoint)}
		b.tails[shard] = t
	}
	return t
}

// behind reads what is new and counts what stands behind the checkpoint.
func (t *tail) behind(ctx context.Context, checkpoint string) (int64, error) {
	err := t.reader.drain(ctx, func(r *types.Record) error {
		t.sequences = append(t.sequences, *r.SequenceNumber)
		return nil
	})
	if err != nil {
		return 0, err
	}
	at, found := slices.BinarySearchFunc(t.sequences, checkpoint, compareSequences)
	if found {
		at++
	}
	return int64(len(t.sequences) - at), nil
}
