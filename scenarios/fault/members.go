package fault

import (
	"context"
	"errors"
	"fmt"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/topology"
)

// rebalance makes a further member join each consumer group of a broker and leave again, one after
// the other: the parts of its channels change hands twice. The member gives back what it was handed
// meanwhile. It bites the messages published to or received from the broker while that goes on.
func rebalance(ctx context.Context, s Stage, node string) (Injection, error) {
	b, err := s.Broker(ctx, node)
	if err != nil {
		return nil, err
	}
	touched, groups := count(s, over(s, node)), 0
	for _, c := range channelsOf(s.Topology(), node) {
		for _, group := range c.Groups {
			groups++
			if err := visit(ctx, b, topology.ChannelName(c.Ref), group); err != nil {
				touched.Close()
				return nil, fmt.Errorf("join group %q of %q: %w", group, c.Ref, err)
			}
		}
	}
	if groups == 0 {
		touched.Close()
		return nil, fmt.Errorf("no group takes messages from %q", node)
	}
	return moved{touched}, nil
}

// visit joins a group and leaves it once it has a share.
func visit(ctx context.Context, b conn.Broker, channel, group string) error {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	return b.Subscribe(ctx, conn.Subscription{
		Channel: channel, Group: group, QoS: topology.DefaultQoS, Prefetch: 1,
		Handle: func(d conn.Delivery) { _ = d.Nack(ctx) }, // else leaving gives it back
	})
}

func channelsOf(t *topology.Topology, node string) (all []*topology.Channel) {
	for _, c := range t.Channels {
		if c.Node() == node {
			all = append(all, c)
		}
	}
	return all
}

// splitter is a broker's client that can split the parts of a channel.
type splitter interface {
	SplitShards(ctx context.Context, channel string) (int, error)
}

// splitShards splits every open shard of a broker's streams. It bites the messages published to or
// received from the broker meanwhile.
func splitShards(ctx context.Context, s Stage, node string) (Injection, error) {
	b, err := s.Broker(ctx, node)
	if err != nil {
		return nil, err
	}
	client, ok := b.(splitter)
	if !ok {
		return nil, fmt.Errorf("%q has no shards to split", node)
	}
	touched, split := count(s, over(s, node)), 0
	for _, c := range channelsOf(s.Topology(), node) {
		n, err := client.SplitShards(ctx, topology.ChannelName(c.Ref))
		if err != nil {
			touched.Close()
			return nil, fmt.Errorf("split %q: %w", c.Ref, err)
		}
		split += n
	}
	if split == 0 {
		touched.Close()
		return nil, errors.New("no stream has an open shard")
	}
	return moved{touched}, nil
}
