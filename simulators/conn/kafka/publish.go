package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/life"
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
	p := &parcel{record: toRecord(m), size: len(m.Data), done: make(chan struct{})}
	l.add(p)
	select {
	case <-p.done:
	case <-ctx.Done():
		if l.withdraw(p) {
			p.err = ctx.Err()
			break
		}
		return conn.Receipt{}, fmt.Errorf("publish to %q: %w: %w", channel, conn.ErrUnknown, ctx.Err())
	}
	if p.err != nil {
		return conn.Receipt{}, fmt.Errorf("publish to %q: %w", channel, c.refused(p.err))
	}
	return p.receipt, nil
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

// lane carries the records of one partition.
type lane struct {
	client *Client
	slot   slot

	mu      sync.Mutex
	waiting []*parcel
	sending bool
}

// parcel is one record on its way; receipt and err are set when done is closed.
type parcel struct {
	record  kafka.Record
	size    int
	done    chan struct{}
	receipt conn.Receipt
	err     error
}

func (p *parcel) settle(r conn.Receipt, err error) {
	p.receipt, p.err = r, err
	close(p.done)
}

func (c *Client) lane(s slot) *lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lanes[s]
	if l == nil {
		l = &lane{client: c, slot: s}
		c.lanes[s] = l
	}
	return l
}

// add puts a parcel in the lane; a goroutine sends as long as there are any.
func (l *lane) add(p *parcel) {
	l.mu.Lock()
	l.waiting = append(l.waiting, p)
	begin := !l.sending
	l.sending = true
	l.mu.Unlock()
	if begin && !l.client.life.Go(l.send) {
		l.refuse()
	}
}

// refuse answers all that wait in a client that is closed.
func (l *lane) refuse() {
	l.mu.Lock()
	waiting := l.waiting
	l.waiting, l.sending = nil, false
	l.mu.Unlock()
	for _, p := range waiting {
		p.settle(conn.Receipt{}, life.ErrClosed)
	}
}

// withdraw takes a parcel back that is not on its way yet.
func (l *lane) withdraw(p *parcel) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.waiting, p)
	if i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
	return i >= 0
}

func (l *lane) send() {
	for {
		batch := l.take()
		if len(batch) == 0 {
			return
		}
		base, err := l.produce(batch)
		if err != nil {
			err = asUnknown(err)
		}
		for i, p := range batch {
			p.settle(conn.Receipt{Partition: int32(l.slot.partition), Offset: base + int64(i)}, err)
		}
	}
}

// take is the next request's records; with none, sending is over.
func (l *lane) take() []*parcel {
	l.mu.Lock()
	defer l.mu.Unlock()
	size, n := 0, 0
	for n < len(l.waiting) && n < mostBatch && (n == 0 || size < mostBatchBytes) {
		size += l.waiting[n].size
		n++
	}
	if n == 0 {
		l.sending = false
		return nil
	}
	batch := slices.Clone(l.waiting[:n])
	l.waiting = slices.Delete(l.waiting, 0, n)
	return batch
}

// produce sends records until an answer says that they were written, or might have been.
func (l *lane) produce(batch []*parcel) (base int64, err error) {
	c := l.client
	for try := 1; ; try++ {
		epoch := c.epoch.Load()
		base, err = l.try(batch)
		if err == nil || try == mostTries || !nothingWritten(err) {
			return base, err
		}
		c.refresh(epoch)
		if c.life.PauseBefore(c.life, try) != nil {
			return base, err
		}
	}
}

func (l *lane) try(batch []*parcel) (int64, error) {
	ctx, cancel := context.WithTimeout(l.client.life, answerTimeout)
	defer cancel()
	now := time.Now()
	records := make([]kafka.Record, len(batch))
	for i, p := range batch {
		records[i] = p.record
		records[i].Time = now
		rewind(p.record)
	}
	answer, err := l.client.client().Produce(ctx, &kafka.ProduceRequest{
		Topic: l.slot.topic, Partition: l.slot.partition,
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
