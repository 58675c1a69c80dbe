package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/life"
)

const (
	// sessionTimeout is how long a consumer may be silent before its partitions go to others: what
	// a crash costs. heartbeat is how often it speaks, and how soon it learns of a rebalance: both
	// together, with the joining, stay within 2 s.
	sessionTimeout = 1500 * time.Millisecond
	heartbeat      = 400 * time.Millisecond
	// rebalanceTimeout is how long the others wait for a member to join again.
	rebalanceTimeout = 3 * time.Second
	// grace is how long deliveries in hand may still be settled when partitions are taken away.
	grace = 500 * time.Millisecond
	// commitAfter is how long a commit waits for what is settled at the same instant: which of it
	// travels along is not left to chance.
	commitAfter = 937 * time.Microsecond
	// commitEvery is the least time between two commits.
	commitEvery = 50 * time.Millisecond
)

// subscription is one membership in a group.
type subscription struct {
	client *Client
	conn.Subscription
	topic string
	ready chan struct{} // closed when partitions were first assigned
	once  sync.Once

	mu   sync.Mutex
	seen map[int]int64 // by partition: the offset behind the highest that was handed out
}

// Subscribe joins a group (the client's own, where none is named) and returns when the group has
// given it its share of the partitions, which may be none. Deliveries of a partition come in order
// from one goroutine. Ack returns at once; the offset is committed a moment later, once all before
// it are settled too, and Ack of a partition that has been taken away is an error: somebody else
// is given the record again. Nack hands the record out again before any that has not been handed
// out yet; records of its key that are in hand already stay there, so a consumer that wants them
// in order holds them back. While no broker answers Subscribe waits, for a topic that does not
// exist it does not. When ctx ends the client leaves the group.
func (c *Client) Subscribe(ctx context.Context, sub conn.Subscription) error {
	s := &subscription{
		client: c, Subscription: sub, topic: TopicName(sub.Channel),
		ready: make(chan struct{}), seen: map[int]int64{},
	}
	if s.Group == "" {
		s.Group = c.cfg.Client
	}
	_, err := c.partitions(ctx, s.topic)
	if errors.Is(err, kafka.UnknownTopicOrPartition) {
		return fmt.Errorf("subscribe to %q: %w", sub.Channel, err)
	}
	group, err := kafka.NewConsumerGroup(s.config())
	if err != nil {
		return fmt.Errorf("subscribe to %q: %w", sub.Channel, err)
	}
	ended, err := c.life.Stay(ctx, func(ctx context.Context) { s.run(ctx, group) })
	if err != nil {
		group.Close()
		return fmt.Errorf("subscribe to %q: %w", sub.Channel, err)
	}
	select {
	case <-s.ready:
		return nil
	case <-ended:
		return fmt.Errorf("subscribe to %q: %w", sub.Channel, errors.Join(ctx.Err(), life.ErrClosed))
	}
}

func (s *subscription) config() kafka.ConsumerGroupConfig {
	return kafka.ConsumerGroupConfig{
		ID:      s.Group,
		Brokers: s.client.cfg.Dialer.Endpoints(),
		Topics:  []string{s.topic},
		Dialer: &kafka.Dialer{
			ClientID: s.client.cfg.Client,
			Timeout:  sessionTimeout,
			DialFunc: s.client.dial,
		},
		GroupBalancers: []kafka.GroupBalancer{
			balancer{client: s.client.cfg.Client, since: time.Now()},
		},
		HeartbeatInterval: heartbeat,
		SessionTimeout:    sessionTimeout,
		RebalanceTimeout:  rebalanceTimeout,
		JoinGroupBackoff:  50 * time.Millisecond,
		StartOffset:       kafka.FirstOffset,
		Timeout:           sessionTimeout,
	}
}

// run takes part in one generation of the group after the other.
func (s *subscription) run(ctx context.Context, group *kafka.ConsumerGroup) {
	var memberships sync.WaitGroup
	defer memberships.Wait() // the group does not wait for one whose generation was over already
	defer group.Close()
	for {
		gen, err := group.Next(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil: // the library pauses and tries again
			continue
		}
		m := newMembership(s, gen)
		memberships.Add(1)
		gen.Start(func(ctx context.Context) {
			defer memberships.Done()
			m.run(ctx)
		})
		s.once.Do(func() { close(s.ready) })
	}
}

// first says whether an offset was never handed out by this subscription, and notes it.
func (s *subscription) first(partition int, offset int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if offset < s.seen[partition] {
		return false
	}
	s.seen[partition] = offset + 1
	return true
}
