package container

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// spot is one partition.
type spot struct {
	topic     string
	partition int32
}

// MoveLeaders makes the member after the present leader the preferred one of each partition, and
// has the preferred ones elected. It returns when the cluster says who leads.
func (k *kafka) MoveLeaders(ctx context.Context, topic string) (int, error) {
	switch {
	case !k.running:
		return 0, errors.New("move leaders: kafka is stopped")
	case len(k.members) < 2:
		return 0, fmt.Errorf("move leaders: %q has one broker, and a leader moves to another one; "+
			"declare brokers: 3", k.cfg.Node.Name)
	}
	c, err := k.client(k.members...)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	wanted, err := k.prefer(ctx, c, topic)
	if err != nil {
		return 0, err
	}
	if err := elect(ctx, c, wanted); err != nil {
		return 0, err
	}
	return len(wanted), await(ctx, c, func(leaders map[spot]int32) bool {
		for s, to := range wanted {
			if leaders[s] != to {
				return false
			}
		}
		return true
	})
}

// prefer puts the member after each partition's leader first in its list of replicas, and says who
// that is.
func (k *kafka) prefer(ctx context.Context, c *kgo.Client, topic string) (map[spot]int32, error) {
	known, err := metadata(ctx, c)
	if err != nil {
		return nil, err
	}
	wanted := map[spot]int32{}
	ask := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	for _, t := range known.Topics {
		if t.Topic == nil || t.IsInternal || topic != "" && *t.Topic != topic {
			continue
		}
		change := kmsg.NewAlterPartitionAssignmentsRequestTopic()
		change.Topic = *t.Topic
		for _, p := range t.Partitions {
			order := after(p.Replicas, p.Leader, int32(len(k.members)))
			wanted[spot{*t.Topic, p.Partition}] = order[0]
			one := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
			one.Partition, one.Replicas = p.Partition, order
			change.Partitions = append(change.Partitions, one)
		}
		ask.Topics = append(ask.Topics, change)
	}
	if len(wanted) == 0 && topic != "" {
		return nil, fmt.Errorf("move leaders: no topic %q", topic)
	}
	answer, err := ask.RequestWith(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("move leaders: %w", err)
	}
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return nil, fmt.Errorf("move leaders: %w", err)
	}
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("move leader of %q partition %d: %w", t.Topic, p.Partition, err)
			}
		}
	}
	return wanted, nil
}

// after is a partition's replicas, beginning with the one behind its leader. The only replica goes
// to the next member of the cluster, with its data.
func after(replicas []int32, leader, members int32) []int32 {
	if len(replicas) < 2 {
		return []int32{(leader + 1) % members}
	}
	i := slices.Index(replicas, leader) + 1
	return slices.Concat(replicas[i%len(replicas):], replicas[:i%len(replicas)])
}

// elect has the preferred replicas elected.
func elect(ctx context.Context, c *kgo.Client, wanted map[spot]int32) error {
	const preferred = 0
	byTopic := map[string][]int32{}
	for s := range wanted {
		byTopic[s.topic] = append(byTopic[s.topic], s.partition)
	}
	ask := kmsg.NewPtrElectLeadersRequest()
	ask.ElectionType = preferred
	for topic, partitions := range byTopic {
		one := kmsg.NewElectLeadersRequestTopic()
		one.Topic, one.Partitions = topic, partitions
		ask.Topics = append(ask.Topics, one)
	}
	answer, err := ask.RequestWith(ctx, c)
	if err != nil {
		return fmt.Errorf("elect leaders: %w", err)
	}
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			err := kerr.ErrorForCode(p.ErrorCode)
			if err != nil && !errors.Is(err, kerr.ElectionNotNeeded) &&
				!errors.Is(err, kerr.PreferredLeaderNotAvailable) {
				return fmt.Errorf("elect leader of %q partition %d: %w", t.Topic, p.Partition, err)
			}
		}
	}
	return nil
}

// await asks who leads until the answer is the one hoped for.
func await(ctx context.Context, c *kgo.Client, done func(map[spot]int32) bool) error {
	again := time.NewTicker(askEvery)
	defer again.Stop()
	for {
		leaders, err := leaders(ctx, c)
		if err == nil && done(leaders) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for new leaders: %w", errors.Join(ctx.Err(), err))
		case <-again.C:
		}
	}
}

// leaders are the leaders of all partitions but the cluster's own.
func leaders(ctx context.Context, c *kgo.Client) (map[spot]int32, error) {
	known, err := metadata(ctx, c)
	if err != nil {
		return nil, err
	}
	all := map[spot]int32{}
	for _, t := range known.Topics {
		for _, p := range t.Partitions {
			if t.Topic != nil && !t.IsInternal {
				all[spot{*t.Topic, p.Partition}] = p.Leader
			}
		}
	}
	return all, nil
}

// LoseLeader kills the member that leads most partitions, and returns when others lead them. Heal
// starts it again, as one that follows.
func (k *kafka) LoseLeader(ctx context.Context) (func(context.Context) error, error) {
	switch {
	case !k.running:
		return nil, errors.New("lose a leader: kafka is stopped")
	case len(k.members) < 3:
		return nil, fmt.Errorf("lose a leader: %q has %d brokers, and those left must be most of "+
			"them; declare brokers: 3", k.cfg.Node.Name, len(k.members))
	}
	c, err := k.client(k.members...)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	led, err := leaders(ctx, c)
	if err != nil {
		return nil, err
	}
	m := k.members[foremost(led, len(k.members))]
	if err := m.made.Load().kill(ctx, m); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		if !k.running {
			return nil // all were ended meanwhile, and are started together
		}
		return k.launch(ctx, m)
	}, nil
}

// foremost is the member that leads most partitions, the first of equals.
func foremost(led map[spot]int32, members int) int {
	count := make([]int, members)
	for _, leader := range led {
		if leader >= 0 && int(leader) < members {
			count[leader]++
		}
	}
	return slices.Index(count, slices.Max(count))
}
