package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/handout"
)

const (
	// longPoll is how long the broker holds a fetch that finds nothing. A record ends it at once, so
	// nothing comes later for its length; a partition without records costs a request each time.
	longPoll = 5 * time.Second
	// mostFetch is how much one fetch brings, in bytes.
	mostFetch = 1 << 20
)

// share is one partition while it is this member's.
type share struct {
	member    *membership
	partition int
	offset    int64 // the next to fetch; only the fetching goroutine uses it
	queue     *handout.Queue
	progress  *progress
}

// newShare is a partition's share of the subscription's prefetch, of that of all partitions.
func newShare(m *membership, partition int, offset int64, all int) *share {
	prefetch := m.sub.Prefetch
	if prefetch <= 0 {
		prefetch = conn.DefaultPrefetch
	}
	return &share{
		member:    m,
		partition: partition,
		offset:    offset,
		progress:  newProgress(),
		queue: handout.New(max(1, prefetch/all), func(d conn.Delivery) {
			d.Redelivered = !m.sub.first(partition, d.Offset)
			m.sub.Handle(d)
		}),
	}
}

// fetch brings records into the queue until ctx ends, starting again after whatever happens.
func (s *share) fetch(ctx context.Context) {
	c := s.member.sub.client
	for failures := 0; ctx.Err() == nil; {
		if s.queue.Room(ctx) != nil {
			return
		}
		epoch := c.epoch.Load()
		err := s.fetchOnce(ctx)
		switch {
		case err == nil:
			failures = 0
			continue
		case ctx.Err() != nil:
			return
		case errors.Is(err, kafka.OffsetOutOfRange):
			s.offset = kafka.FirstOffset
		case nothingWritten(err):
			c.refresh(epoch)
		}
		failures++
		if c.life.PauseBefore(ctx, failures) != nil {
			return
		}
	}
}

func (s *share) fetchOnce(ctx context.Context) error {
	answer, err := s.member.sub.client.within(longPoll+answerTimeout).Fetch(ctx, &kafka.FetchRequest{
		Topic: s.member.sub.topic, Partition: s.partition, Offset: s.offset,
		MinBytes: 1, MaxBytes: mostFetch, MaxWait: longPoll,
	})
	if err != nil {
		return err
	}
	if answer.Error != nil {
		return answer.Error
	}
	return eachRecord(answer.Records, func(r *kafka.Record) error {
		if r.Offset >= s.offset {
			s.offset = r.Offset + 1
			s.queue.Offer(s.delivery(r))
		}
		return nil
	})
}

// eachRecord reads records to their end. A record's bytes lie in the library's pages, of 64 KB each,
// which it uses again once all records on them are closed.
func eachRecord(records kafka.RecordReader, read func(*kafka.Record) error) error {
	for {
		r, err := records.ReadRecord()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		err = read(r)
		for _, b := range [...]kafka.Bytes{r.Key, r.Value} {
			if b != nil {
				b.Close() // gives pages back, and cannot fail
			}
		}
		if err != nil {
			return err
		}
	}
}

// delivery is what the consumer gets.
func (s *share) delivery(r *kafka.Record) conn.Delivery {
	offset := r.Offset
	s.progress.begin(offset)
	d := conn.Delivery{
		Channel:   s.member.sub.Channel,
		Partition: int32(s.partition),
		Offset:    offset,
		Scope:     fmt.Sprint("partition ", s.partition),
		Lost:      s.progress.lost,
		Ack:       func(context.Context) error { return s.settle(offset) },
		Confirm:   func(told func(error)) { s.progress.await(offset, told) },
	}
	var value []byte
	if d.Message, value, d.Err = fromRecord(r, s.member.sub.client.cfg.Recall); d.Err != nil {
		d.Message, d.Raw = nil, value
	}
	return d
}

func (s *share) settle(offset int64) error {
	moved, open := s.progress.settle(offset)
	if !open {
		return fmt.Errorf("acknowledge %s partition %d offset %d: %w",
			s.member.sub.topic, s.partition, offset, errRevoked)
	}
	if moved {
		s.member.touch()
	}
	return nil
}

// revoke ends the share: what is settled from now on is not committed.
func (s *share) revoke() { s.progress.close() }
