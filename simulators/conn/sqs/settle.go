package sqs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"golang.org/x/sync/errgroup"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/aws"
)

// mostRound is how many removals go out before the next ones do, ten in a request.
const mostRound = 80

// settler tells the service what a subscription's consumer is done with: what finds no request on
// its way leaves at once, the rest travels together in the next. Removals are tried until they are
// answered; what is given back is tried once, because it comes back by itself.
type settler struct {
	queues *Queues
	wake   chan struct{} // capacity 1
	leave  chan struct{} // closed when only what waits is still to be done
	ended  chan struct{}

	mu   sync.Mutex
	done []removal
	back []*holding
}

// removal is a message to be removed, and whom to tell.
type removal struct {
	*holding
	removed func(error) // nil, or why it was not or may not have been
}

func newSettler(q *Queues) *settler {
	return &settler{
		queues: q, wake: make(chan struct{}, 1),
		leave: make(chan struct{}), ended: make(chan struct{}),
	}
}

// remove ends a message soon.
func (t *settler) remove(h *holding, removed func(error)) {
	t.mu.Lock()
	t.done = append(t.done, removal{h, removed})
	t.mu.Unlock()
	t.rouse()
}

// giveBack makes messages visible to others soon.
func (t *settler) giveBack(all []*holding) {
	t.mu.Lock()
	t.back = append(t.back, all...)
	t.mu.Unlock()
	t.rouse()
}

func (t *settler) rouse() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// finish does what still waits and returns, also when ctx ends or a request fails.
func (t *settler) finish(ctx context.Context) {
	close(t.leave)
	select {
	case <-t.ended:
	case <-ctx.Done():
	}
}

// run settles until ctx ends, or nothing waits and it is to leave.
func (t *settler) run(ctx context.Context) {
	defer close(t.ended)
	defer t.abandon()
	for failures := 0; ctx.Err() == nil; {
		done, back := t.take()
		if len(done)+len(back) == 0 {
			if !t.rest(ctx) {
				return
			}
			continue
		}
		if t.round(ctx, done, back) {
			failures = 0
			continue
		}
		failures++
		if t.leaving() || t.queues.link.Pause(ctx, failures) != nil {
			return
		}
	}
}

// abandon tells of removals that no answer has come to.
func (t *settler) abandon() {
	t.mu.Lock()
	left := t.done
	t.done = nil
	t.mu.Unlock()
	for _, r := range left {
		r.removed(fmt.Errorf("%w: the subscription has ended", conn.ErrUnknown))
	}
}

// rest waits for something to do; false says that there will be nothing.
func (t *settler) rest(ctx context.Context) bool {
	select {
	case <-t.wake:
		return true
	default:
	}
	select {
	case <-t.wake:
		return true
	case <-t.leave:
		return false
	case <-ctx.Done():
		return false
	}
}

func (t *settler) leaving() bool {
	select {
	case <-t.leave:
		return true
	default:
		return false
	}
}

// take is what the next round settles.
func (t *settler) take() (done []removal, back []*holding) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(t.done), mostRound)
	done, t.done = slices.Clone(t.done[:n]), slices.Delete(t.done, 0, n)
	back, t.back = t.back, nil
	return done, back
}

// round makes requests, all at once; false says that some removals were not answered.
func (t *settler) round(ctx context.Context, done []removal, back []*holding) bool {
	var all errgroup.Group
	for _, batch := range batches(done) {
		all.Go(func() error { return t.removeAll(ctx, batch) })
	}
	for _, batch := range batches(back) {
		all.Go(func() error {
			_ = t.queues.setVisibility(ctx, batch, 0, visibility)
			return nil
		})
	}
	return all.Wait() == nil
}

// removeAll makes one request; what may not have been removed waits again.
func (t *settler) removeAll(ctx context.Context, batch []removal) error {
	all := make([]*holding, len(batch))
	for i, r := range batch {
		all[i] = r.holding
	}
	var again []removal
	var left error
	for i, err := range t.queues.remove(ctx, all) {
		if err == nil || errors.Is(err, conn.ErrRefused) { // a refused receipt is of no use any more
			batch[i].removed(err)
			continue
		}
		again, left = append(again, batch[i]), err
	}
	t.mu.Lock()
	t.done = append(t.done, again...)
	t.mu.Unlock()
	return left
}

// remove makes one request that ends messages, and says what became of each.
func (q *Queues) remove(ctx context.Context, batch []*holding) []error {
	in := &sqs.DeleteMessageBatchInput{QueueUrl: &batch[0].queue.url}
	for i, h := range batch {
		in.Entries = append(in.Entries, types.DeleteMessageBatchRequestEntry{
			Id: new(strconv.Itoa(i)), ReceiptHandle: h.receipt.Load(),
		})
	}
	var failed []types.BatchResultErrorEntry
	err := q.link.Try(ctx, aws.AnswerTimeout, func(ctx context.Context) error {
		answer, err := q.api.DeleteMessageBatch(ctx, in)
		if err == nil {
			failed = answer.Failed
		}
		return err
	})
	told := All(len(batch), err)
	for _, f := range failed {
		told.Tell(*f.Id, aws.Entry(f.Code, f.Message, f.SenderFault))
	}
	return told
}

// setVisibility makes one request that withholds messages from now on for so long; 0 is not at all.
func (q *Queues) setVisibility(
	ctx context.Context, batch []*holding, hidden, within time.Duration,
) error {
	in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &batch[0].queue.url}
	for i, h := range batch {
		in.Entries = append(in.Entries, types.ChangeMessageVisibilityBatchRequestEntry{
			Id: new(strconv.Itoa(i)), ReceiptHandle: h.receipt.Load(),
			VisibilityTimeout: int32(hidden / time.Second),
		})
	}
	return q.link.Try(ctx, within, func(ctx context.Context) error {
		_, err := q.api.ChangeMessageVisibilityBatch(ctx, in)
		return err
	})
}

// queued is what knows its queue.
type queued interface{ of() *queue }

func (h *holding) of() *queue { return h.queue }

// batches cuts what is to be settled into requests: ten of one queue each.
func batches[T queued](all []T) [][]T {
	byQueue := map[*queue][]T{}
	for _, one := range all {
		byQueue[one.of()] = append(byQueue[one.of()], one)
	}
	var cut [][]T
	for _, of := range byQueue {
		cut = slices.AppendSeq(cut, slices.Chunk(of, mostEntries))
	}
	return cut
}
