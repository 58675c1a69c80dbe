package kinesis

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/handout"
)

const (
	// pollEvery is how often a shard is read while records come: the service allows five reads a
	// second to all readers of a shard together.
	pollEvery = 200 * time.Millisecond
	// quietEvery is how often it is read when none have come for quietAfter.
	quietEvery = 500 * time.Millisecond
	quietAfter = 2 * time.Second
)

// share is one shard while it is this member's.
type share struct {
	sub      *subscription
	row      row // as it was taken
	number   int32
	reader   *reader // the fetching goroutine's
	queue    *handout.Queue
	progress *progress
	life     context.Context
	stop     context.CancelFunc
	fetched  chan struct{} // closed when the fetching goroutine has ended

	mu   sync.Mutex
	kept map[int64]bool // offsets that were given back, whose credits are kept
	over bool
}

func (s *subscription) share(taken row) *share {
	sh := &share{
		sub:      s,
		row:      taken,
		number:   shardNumber(taken.key),
		reader:   s.client.reader(s.stream, taken.key, taken.checkpoint),
		progress: newProgress(taken.checkpoint),
		fetched:  make(chan struct{}),
		kept:     map[int64]bool{},
	}
	sh.life, sh.stop = context.WithCancel(s.client.link.Life())
	sh.queue = handout.New(s.Prefetch, sh.handOut)
	return sh
}

// fetch brings records into the queue until the share ends or the shard does, starting again after
// whatever happens.
func (sh *share) fetch() {
	defer close(sh.fetched)
	p := poll{last: time.Now(), phase: sh.phase()}
	for failures := 0; sh.queue.Room(sh.life) == nil; {
		begun := time.Now()
		records, err := sh.reader.next(sh.life)
		if err != nil {
			failures++
			if sh.sub.client.link.Pause(sh.life, failures) != nil {
				return
			}
			continue
		}
		failures = 0
		for i := range records {
			sh.queue.Offer(sh.delivery(&records[i]))
		}
		if sh.reader.ended {
			if sh.progress.finish() {
				sh.sub.touch()
			}
			return
		}
		if !sh.reader.behind && p.wait(sh.life, begun, len(records) > 0) != nil {
			return
		}
	}
}

// phase is a duration below pollEvery of the share's own, so that shards are not all read at once.
func (sh *share) phase() time.Duration {
	sum := fnv.New32a()
	fmt.Fprint(sum, sh.sub.board.name, sh.row.key)
	return time.Duration(sum.Sum32()) % pollEvery
}

// poll is the rhythm in which a shard is read.
type poll struct {
	last  time.Time     // when records came last
	phase time.Duration // how much earlier than its time the next read is; once
}

// wait returns when it is time to read again after a read that began then, or ctx ends.
func (p *poll) wait(ctx context.Context, begun time.Time, found bool) error {
	every := pollEvery
	if found {
		p.last = begun
	} else if begun.Sub(p.last) > quietAfter {
		every = quietEvery
	}
	timer := time.NewTimer(time.Until(begun.Add(every - p.phase)))
	defer timer.Stop()
	p.phase = 0
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// delivery is what the consumer gets.
func (sh *share) delivery(r *types.Record) conn.Delivery {
	ticket := sh.progress.begin(*r.SequenceNumber)
	d := conn.Delivery{
		Channel:   sh.sub.Channel,
		Partition: sh.number,
		Offset:    offsetOf(*r.SequenceNumber),
		Scope:     sh.row.key,
		Lost:      sh.progress.lost,
		Ack:       func(context.Context) error { return sh.settle(ticket) },
		Confirm:   func(told func(error)) { sh.progress.await(ticket, told) },
	}
	if d.Message, d.Err = fromRecord(r, sh.sub.client.cfg.Recall); d.Err != nil {
		d.Message, d.Raw = nil, r.Data
	}
	return d
}

// handOut gives the consumer a delivery when it has fewer than the prefetch in hand, of all shards
// together. What is not given because the share ends is the next holder's.
func (sh *share) handOut(d conn.Delivery) {
	credits := sh.sub.credits
	if !sh.unkeep(d.Offset) {
		select {
		case credits <- struct{}{}:
		case <-sh.life.Done():
			sh.queue.Stop()
			_ = d.Nack(sh.life) // forgotten by a queue that has stopped
			return
		}
	}
	ack, nack := d.Ack, d.Nack
	d.Ack = func(ctx context.Context) error {
		<-credits
		return ack(ctx)
	}
	d.Nack = func(ctx context.Context) error {
		if !sh.keep(d.Offset) {
			<-credits
		}
		return nack(ctx)
	}
	if !sh.sub.first(d.Partition, d.Offset) {
		d.Redelivered = true
	}
	sh.sub.Handle(d)
}

// keep keeps the credit of a delivery that is given back for when it is handed out again, which is
// next: others that wait behind it may have all that are left. False says that the share is over.
func (sh *share) keep(offset int64) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !sh.over {
		sh.kept[offset] = true
	}
	return !sh.over
}

// unkeep takes the credit that was kept for an offset; false says that there is none.
func (sh *share) unkeep(offset int64) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	kept := sh.kept[offset]
	delete(sh.kept, offset)
	return kept
}

// free gives back the credits that were kept.
func (sh *share) free() {
	sh.mu.Lock()
	n := len(sh.kept)
	sh.kept, sh.over = nil, true
	sh.mu.Unlock()
	for range n {
		<-sh.sub.credits
	}
}

func (sh *share) settle(ticket int64) error {
	moved, open := sh.progress.settle(ticket)
	if !open {
		return fmt.Errorf("acknowledge a record of %q of %q: %w",
			sh.row.key, sh.sub.stream, errRevoked)
	}
	if moved {
		sh.sub.touch()
	}
	return nil
}

// write writes the checkpoint, if it has moved. When the shard is somebody else's by now that is
// the end of it.
func (sh *share) write(ctx context.Context) error {
	mark, upTo, ok := sh.progress.unwritten()
	if !ok {
		return nil
	}
	held, err := sh.sub.leases.mark(ctx, sh.row, mark)
	if err != nil {
		return err
	}
	if !held {
		sh.progress.close()
		sh.queue.Stop()
		sh.stop()
		return nil
	}
	sh.progress.wrote(mark, upTo)
	return nil
}

// errNotWritten is of what was acknowledged when its shard went, before its checkpoint was known to
// be written.
var errNotWritten = fmt.Errorf("%w: %w", conn.ErrUnknown, errRevoked)

// end stops the share and returns how far it is settled, once all that was handed out is or ctx
// ends. What is settled from then on is not counted.
func (sh *share) end(ctx context.Context) (checkpoint string) {
	sh.queue.Stop()
	sh.stop()
	<-sh.fetched
	if !sh.sub.client.link.Life().Crashed() {
		_ = sh.queue.Settled(ctx) // what is not settled by then is delivered again
	}
	checkpoint = sh.progress.close()
	sh.progress.tell(errNotWritten)
	sh.queue.Close()
	sh.free()
	return checkpoint
}
