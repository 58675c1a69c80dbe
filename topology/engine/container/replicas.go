package container

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/faultline-sim/faultline/topology/engine"
)

// minInSync is the topic's setting of how many replicas a write needs.
const minInSync = "min.insync.replicas"

// The operations of an incremental change of settings, and what has settings that are a topic's.
const (
	setConfig    = 0
	deleteConfig = 1
	topicConfig  = 2
)

// RefuseWrites asks, of every topic, for more replicas in sync than there are brokers: writes that
// wait for all of them are answered NOT_ENOUGH_REPLICAS. Heal takes the demand away.
func (k *kafka) RefuseWrites(ctx context.Context) (func(context.Context) error, error) {
	if !k.running {
		return nil, errors.New("refuse writes: kafka is stopped")
	}
	more := strconv.Itoa(len(k.members) + 1)
	if err := k.demand(ctx, setConfig, &more); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		if !k.running {
			return nil // its settings are gone with it, or are healed by the next call
		}
		return k.demand(ctx, deleteConfig, nil)
	}, nil
}

func (k *kafka) demand(ctx context.Context, how int8, value *string) error {
	c, err := k.client(k.members...)
	if err != nil {
		return err
	}
	defer c.Close()
	topics, err := topicNames(ctx, c)
	if err != nil {
		return err
	}
	ask := kmsg.NewPtrIncrementalAlterConfigsRequest()
	for _, topic := range topics {
		one := kmsg.NewIncrementalAlterConfigsRequestResource()
		one.ResourceType, one.ResourceName = topicConfig, topic
		change := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		change.Name, change.Value = minInSync, value
		change.Op = kmsg.IncrementalAlterConfigOp(how)
		one.Configs = append(one.Configs, change)
		ask.Resources = append(ask.Resources, one)
	}
	answer, err := ask.RequestWith(ctx, c)
	if err != nil {
		return fmt.Errorf("change %s: %w", minInSync, err)
	}
	for _, r := range answer.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return fmt.Errorf("change %s of %q: %w", minInSync, r.ResourceName, err)
		}
	}
	return nil
}

// topicNames are the topics that are not the cluster's own.
func topicNames(ctx context.Context, c *kgo.Client) (names []string, err error) {
	known, err := metadata(ctx, c)
	if err != nil {
		return nil, err
	}
	for _, t := range known.Topics {
		if t.Topic != nil && !t.IsInternal {
			names = append(names, *t.Topic)
		}
	}
	return names, nil
}

var _ engine.WriteRefuser = (*kafka)(nil)
