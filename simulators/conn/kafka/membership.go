package kafka

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// errRevoked is what Ack answers for a partition that somebody else has now.
var errRevoked = errors.New("the partition was taken away")

// membership is a subscription's part in one generation of its group.
type membership struct {
	sub    *subscription
	gen    *kafka.Generation
	shares []*share
	dirty  chan struct{} // capacity 1: something can be committed
}

func newMembership(s *subscription, gen *kafka.Generation) *membership {
	m := &membership{sub: s, gen: gen, dirty: make(chan struct{}, 1)}
	assigned := gen.Assignments[s.topic]
	for _, a := range assigned {
		m.shares = append(m.shares, newShare(m, a.ID, a.Offset, len(assigned)))
	}
	return m
}

// run consumes until the generation ends. What has been settled by then, and shortly after, is
// committed before the group is joined again; later settlements are refused.
func (m *membership) run(ctx context.Context) {
	fetching, stop := context.WithCancel(m.sub.client.life)
	var fetchers sync.WaitGroup
	for _, s := range m.shares {
		fetchers.Go(func() { s.fetch(fetching) })
	}
	m.commitUntil(ctx)
	stop()
	fetchers.Wait()
	for _, s := range m.shares {
		s.queue.Stop()
	}
	if !m.sub.client.life.Crashed() {
		m.settle()
	}
	for _, s := range m.shares {
		s.revoke()
	}
	if !m.sub.client.life.Crashed() {
		_ = m.commit() // refused if the group has gone on without us
	}
}

// settle gives deliveries in hand a little time.
func (m *membership) settle() {
	ctx, cancel := context.WithTimeout(m.sub.client.life, grace)
	defer cancel()
	for _, s := range m.shares {
		if s.queue.Settled(ctx) != nil {
			return
		}
	}
}

// commitUntil commits whenever there is something to, not too often, until ctx ends.
func (m *membership) commitUntil(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-m.dirty:
		case <-ctx.Done():
			return
		}
		if m.commit() != nil {
			m.touch() // again: the coordinator may have moved
		}
		timer.Reset(commitEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// touch says that there is something to commit.
func (m *membership) touch() {
	select {
	case m.dirty <- struct{}{}:
	default:
	}
}

// commit writes how far every partition is settled.
func (m *membership) commit() error {
	offsets := map[int]int64{}
	for _, s := range m.shares {
		if offset, ok := s.progress.uncommitted(); ok {
			offsets[s.partition] = offset
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	err := m.gen.CommitOffsets(map[string]map[int]int64{m.sub.topic: offsets})
	if err != nil {
		return err
	}
	for _, s := range m.shares {
		if offset, ok := offsets[s.partition]; ok {
			s.progress.committed(offset)
		}
	}
	return nil
}
