package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/lane"
	"github.com/faultline-sim/faultline/simulators/message"
)

const (
	// mostTries is how often a request is made whose answer says that nothing was written.
	mostTries = 6
	// mostBatch is how many records one request carries, and mostBatchBytes roughly how large it is.
	mostBatch      = 1000
	mostBatchBytes = 512 << 10
	// mostBody is how large a body may be: with its envelope around it, it stays below the brokers'
	// message.max.bytes of 1,048,588.
	mostBody = 1_000_000
)

// Publish sends a record to the partition of its key (as Java's clients do, by murmur2; without a
// key each partition in turn) and returns when all in-sync replicas have it. Records of one
// partition go out in the order of the calls, one request at a time: a record that finds none on
// its way leaves at once, the others travel together in the next.
func (c *Client) Publish(ctx context.Context, channel string, m *message.Message) (
	conn.Receipt, error,
) {
	topic := TopicName(channel)
	if err := m.Check(); err != nil {
		return conn.Receipt{}, fmt.Errorf("publish to %q: %w", channel, err)
	}
	if len(m.Data) > mostBody {
		return conn.Receipt{}, fmt.Errorf("publish to %q: %w: %s takes bodies of %d bytes at most, the "+
			"message has %d; send less, or a reference to it", channel, conn.ErrRefused,
			c.cfg.Dialer.Wire(), mostBody, len(m.Data))
	}
	all, err := c.partitions(ctx, topic)
	if err != nil {
		return conn.Receipt{}, fmt.Errorf("publish to %q: %w", channel, c.refused(err))
	}
	l := c.lane(slot{topic: topic, partition: c.partitionOf(m.Key, all)})
	receipt, err := l.Put(ctx, toRecord(m), len(m.Data))
	if err != nil {
		return conn.Receipt{}, fmt.Errorf("publish to %q: %w", channel, c.refused(err))
	}
	return receipt, nil
}

// refused marks the answers that no repetition changes, and says what does.
func (c *Client) refused(err error) error {
	switch {
	case errors.Is(err, kafka.UnknownTopicOrPartition):
		return fmt.Errorf("%w: %s has no such topic, declare the channel: %w",
			conn.ErrRefused, c.cfg.Dialer.Wire(), err)
	case errors.Is(err, kafka.MessageSizeTooLarge):
		return fmt.Errorf("%w: %s: send less, or raise message.max.bytes: %w",
			conn.ErrRefused, c.cfg.Dialer.Wire(), err)
	}
	return err
}

// partitionOf is where a key belongs.
func (c *Client) partitionOf(key string, all []int) int {
	if key == "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.turn++
		return all[c.turn%uint32(len(all))]
	}
	return kafka.Murmur2Balancer{}.Balance(kafka.Message{Key: []byte(key)}, all...)
}

// parcel is one record on its way.
type parcel = lane.Parcel[kafka.Record]

// lane carries the records of one partition.
func (c *Client) lane(s slot) *lane.Lane[kafka.Record] {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lanes[s]
	if l == nil {
		l = lane.New(lane.Options[kafka.Record]{
			Life: c.life, Most: mostBatch, MostBytes: mostBatchBytes,
			Send: func(batch []*parcel) { c.send(s, batch) },
		})
		c.lanes[s] = l
	}
	return l
}

// send produces a batch; its records stand in the partition one behind the other.
func (c *Client) send(to slot, batch []*parcel) {
	base, err := c.produce(to, batch)
	if err != nil {
		err = asUnknown(err)
	}
	for i, p := range batch {
		p.Settle(conn.Receipt{Partition: int32(to.partition), Offset: base + int64(i)}, err)
	}
}

// produce sends records until an answer says that they were written, or might have been.
func (c *Client) produce(to slot, batch []*parcel) (base int64, err error) {
	for try := 1; ; try++ {
		epoch := c.epoch.Load()
		base, err = c.try(to, batch)
		if err == nil || try == mostTries || !nothingWritten(err) {
			return base, err
		}
		c.refresh(epoch)
		if c.life.PauseBefore(c.life, try) != nil {
			return base, err
		}
	}
}

func (c *Client) try(to slot, batch []*parcel) (int64, error) {
	now := time.Now()
	records := make([]kafka.Record, len(batch))
	for i, p := range batch {
		records[i] = p.Content
		records[i].Time = now
		rewind(p.Content)
	}
	answer, err := c.client().Produce(c.life, &kafka.ProduceRequest{
		Topic: to.topic, Partition: to.partition,
		RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...),
	})
	if err != nil {
		return 0, err
	}
	return answer.BaseOffset, answer.Error
}

// rewind makes a record's bytes readable again for a further try.
func rewind(r kafka.Record) {
	for _, b := range []kafka.Bytes{r.Key, r.Value} {
		if s, ok := b.(interface {
			Seek(int64, int) (int64, error)
		}); ok {
			_, _ = s.Seek(0, 0) // bytes in memory
		}
	}
}
