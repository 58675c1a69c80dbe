package kinesis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"golang.org/x/sync/errgroup"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/topology"
)

// parallel bounds the requests that one call has under way at once.
const parallel = 4

// Declare makes a stream for each channel, with as many shards as its parallel, and the lease
// table of each of its groups. A stream keeps records for 24 hours and a group begins at the
// oldest, so that a group's first subscription may come late. A channel with a level ":id" and
// native dead-lettering are ErrUnsupported: Kinesis has neither wildcards nor redelivery.
func (c *Client) Declare(ctx context.Context, channels []*topology.Channel) error {
	for _, ch := range channels {
		if err := c.supports(ch); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, ch := range channels {
		group.Go(func() error { return c.declare(ctx, ch) })
	}
	return group.Wait()
}

func (c *Client) supports(ch *topology.Channel) error {
	switch {
	case strings.Contains(topology.ChannelName(ch.Ref), ":"):
		return fmt.Errorf("declare %q over %s: a channel for each id: %w",
			ch.Ref, c.link.Wire(), conn.ErrUnsupported)
	case ch.DeadLetter != nil && ch.DeadLetter.Native:
		return fmt.Errorf("declare %q over %s: dead-lettering by the broker: %w",
			ch.Ref, c.link.Wire(), conn.ErrUnsupported)
	}
	return nil
}

func (c *Client) declare(ctx context.Context, ch *topology.Channel) error {
	name := topology.ChannelName(ch.Ref)
	if err := c.makeStream(ctx, StreamName(name), max(1, ch.Parallel)); err != nil {
		return fmt.Errorf("declare %q over %s: %w", ch.Ref, c.link.Wire(), err)
	}
	for _, group := range ch.Groups {
		if err := c.leases(name, group).make(ctx); err != nil {
			return fmt.Errorf("declare %q over %s: %w", ch.Ref, c.link.Wire(), err)
		}
	}
	return nil
}

// makeStream returns when the stream is there and can be used.
func (c *Client) makeStream(ctx context.Context, stream string, shards int) error {
	err := c.ask(ctx, func(ctx context.Context) error {
		_, err := c.streams.CreateStream(ctx, &kinesis.CreateStreamInput{
			StreamName: &stream, ShardCount: sdk.Int32(int32(shards)),
		})
		return err
	})
	var exists *types.ResourceInUseException
	if err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("make stream %q: %w", stream, err)
	}
	return c.awaitStream(ctx, stream)
}

// awaitStream returns when no change of the stream is under way.
func (c *Client) awaitStream(ctx context.Context, stream string) error {
	for n := 1; ; n++ {
		status, err := c.statusOf(ctx, stream)
		if err != nil || status == types.StreamStatusActive {
			return err
		}
		if err := c.link.Pause(ctx, n); err != nil {
			return fmt.Errorf("await stream %q, which is %s: %w", stream, status, err)
		}
	}
}

func (c *Client) statusOf(ctx context.Context, stream string) (types.StreamStatus, error) {
	var answer *kinesis.DescribeStreamSummaryOutput
	err := c.ask(ctx, func(ctx context.Context) (err error) {
		answer, err = c.streams.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{
			StreamName: &stream,
		})
		return err
	})
	if err != nil {
		return "", fmt.Errorf("ask for stream %q: %w", stream, explain(err))
	}
	return answer.StreamDescriptionSummary.StreamStatus, nil
}

// explain says what to change where a stream is missing.
func explain(err error) error {
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		return fmt.Errorf("the stream does not exist, declare its channel first: %w", err)
	}
	return err
}

// shards are all shards of a stream whose records are still kept, closed ones too, by id.
func (c *Client) shards(ctx context.Context, stream string) ([]types.Shard, error) {
	var all []types.Shard
	ask := &kinesis.ListShardsInput{StreamName: &stream}
	for {
		var answer *kinesis.ListShardsOutput
		err := c.ask(ctx, func(ctx context.Context) (err error) {
			answer, err = c.streams.ListShards(ctx, ask)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list shards of %q: %w", stream, explain(err))
		}
		all = append(all, answer.Shards...)
		if answer.NextToken == nil {
			return all, nil
		}
		ask = &kinesis.ListShardsInput{NextToken: answer.NextToken}
	}
}
