package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/faultline-sim/faultline/simulators/conn"
)

// errRevoked is what Ack answers for a partition that somebody else has now.
var errRevoked = errors.New("the partition was taken away")

// errNotCommitted is of what was acknowledged when its partition went, before its offset was known
// to be committed.
var errNotCommitted = fmt.Errorf("%w: %w", conn.ErrUnknown, errRevoked)

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
	slices.SortFunc(m.shares, func(a, b *share) int { return cmp.Compare(a.partition, b.partition) })
	return m
}

// shareApart is how far apart the partitions of a member are begun: which of them gets the connection
// that is there already, and which dials, is not left to chance.
const shareApart = 7 * time.Microsecond

// phase is how much later than others a subscription begins, of those that begin at one instant.
func (s *subscription) phase() time.Duration {
	sum := fnv.New32a()
	sum.Write([]byte(s.topic))
	return time.Duration(sum.Sum32() % uint32(shareApart))
}

// run consumes until the generation ends. What has been settled by then, and shortly after, is
// committed before the group is joined again; later settlements are refused.
func (m *membership) run(generation context.Context) {
	life := m.sub.client.life
	committing, end := m.committing(generation)
	defer end()
	fetching, stop := context.WithCancel(life)
	var fetchers sync.WaitGroup
	for i, s := range m.shares {
		fetchers.Go(func() {
			if life.Pause(fetching, m.sub.phase()+time.Duration(i)*shareApart) == nil {
				s.fetch(fetching)
			}
		})
	}
	m.commitUntil(generation, committing)
	stop()
	fetchers.Wait()
	for _, s := range m.shares {
		s.queue.Stop()
	}
	if !life.Crashed() {
		m.settle()
	}
	for _, s := range m.shares {
		s.revoke()
	}
	if !life.Crashed() {
		_ = m.commit(committing) // refused if the group has gone on without us
	}
	for _, s := range m.shares {
		s.progress.tell(errNotCommitted)
	}
}

// committing is the context of commits. It outlives the generation by as long as the other members
// wait for this one to join again.
func (m *membership) committing(generation context.Context) (context.Context, func()) {
	life := m.sub.client.life
	ctx, cancel := context.WithCancel(life)
	stop := context.AfterFunc(generation, func() {
		_ = life.Pause(ctx, rebalanceTimeout) // an error says that ctx has ended
		cancel()
	})
	return ctx, func() { stop(); cancel() }
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

// commitUntil commits whenever there is something to, not too often, until the generation ends. A
// commit that is on its way then is waited for.
func (m *membership) commitUntil(generation, committing context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-m.dirty:
		case <-generation.Done():
			return
		}
		if m.sub.client.life.Pause(generation, commitAfter) != nil {
			return
		}
		if m.commit(committing) != nil {
			m.touch() // again: the coordinator may have moved
		}
		timer.Reset(commitEvery)
		select {
		case <-timer.C:
		case <-generation.Done():
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
func (m *membership) commit(ctx context.Context) error {
	var offsets []kafka.OffsetCommit
	written := map[*share]int64{}
	for _, s := range m.shares {
		if offset, ok := s.progress.uncommitted(); ok {
			offsets = append(offsets, kafka.OffsetCommit{Partition: s.partition, Offset: offset})
			written[s] = offset
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	err := m.sub.client.commit(ctx, &kafka.OffsetCommitRequest{
		GroupID: m.gen.GroupID, GenerationID: int(m.gen.ID), MemberID: m.gen.MemberID,
		Topics: map[string][]kafka.OffsetCommit{m.sub.topic: offsets},
	})
	if err != nil {
		return err
	}
	for s, offset := range written {
		s.progress.committed(offset)
	}
	for _, s := range m.shares {
		s.progress.tell(nil)
	}
	return nil
}
