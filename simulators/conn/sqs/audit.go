package sqs

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"golang.org/x/sync/errgroup"

	"github.com/faultline-sim/faultline/simulators/conn/aws"
	"github.com/faultline-sim/faultline/simulators/message"
)

const (
	// auditHolds is how long an audit withholds what it has read, should it never come to give it
	// back.
	auditHolds = 2 * time.Minute
	// auditWaits is how long an audit waits for messages that others have in hand.
	auditWaits = 3 * time.Second
	// auditGives bounds the giving back, and auditGivesAtOnce how many requests of it are under way.
	auditGives       = 20 * time.Second
	auditGivesAtOnce = 8
)

// Audit reads all that stands in what a name stands for, and makes it available again. Reading is
// receiving: it counts as a delivery of each message. What consumers have in hand comes up only
// when they give it back within a few seconds. What is no envelope is passed over.
func (q *Queues) Audit(
	ctx context.Context, name string, found func(*message.Message) error,
) error {
	select {
	case q.auditing <- struct{}{}:
		defer func() { <-q.auditing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	q.forget(name)
	all, err := q.findAll(ctx, name)
	if err != nil {
		return err
	}
	for _, one := range all {
		a := &audit{
			queues: q, queue: one, found: found,
			held: map[string]*holding{}, copies: map[string]bool{},
		}
		if err := a.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// audit is the reading of one queue.
//
// A FIFO queue gives out nothing of a group while something of it is in hand. Where that hides
// messages, those that were read are put at the end of their groups, by copies, until all have gone
// round; the order within a group stays.
type audit struct {
	queues  *Queues
	queue   *queue
	found   func(*message.Message) error
	held    map[string]*holding // by message id
	turning bool
	copies  map[string]bool // ids of messages that were read before
}

func (a *audit) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, a.giveBack(ctx)) }()
	for since := time.Now(); ; {
		received, err := a.receive(ctx)
		if err != nil {
			return err
		}
		if len(received) > 0 {
			since = time.Now()
			if err := a.take(ctx, received); err != nil {
				return err
			}
			continue
		}
		over, err := a.over(ctx, since)
		if over || err != nil {
			return err
		}
	}
}

// over says whether all has been read, after a receive that brought nothing.
func (a *audit) over(ctx context.Context, since time.Time) (bool, error) {
	left, err := a.queues.standing(ctx, a.queue)
	if err != nil {
		return false, err
	}
	switch others := left.hidden - int64(len(a.held)); {
	case left.visible == 0 && others <= 0, time.Since(since) > auditWaits,
		a.turning && left.visible+int64(len(a.held)) <= int64(len(a.copies)):
		return true, nil
	case left.visible > 0 && a.queue.fifo && !a.turning && len(a.held) > 0:
		a.turning = true
		return false, a.turn(ctx, slices.Collect(maps.Values(a.held)))
	}
	return false, a.queues.link.Pause(ctx, 1)
}

func (a *audit) receive(ctx context.Context) (received []types.Message, err error) {
	err = a.queues.link.Insist(ctx, aws.AnswerTimeout, func(ctx context.Context) error {
		answer, err := a.queues.api.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl:              &a.queue.url,
			MaxNumberOfMessages:   mostEntries,
			VisibilityTimeout:     int32(auditHolds / time.Second),
			MessageAttributeNames: []string{"All"},
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{
				types.MessageSystemAttributeNameMessageGroupId,
			},
		})
		if err == nil {
			received = answer.Messages
		}
		return err
	})
	return received, err
}

// take reports what was received, each message once.
func (a *audit) take(ctx context.Context, received []types.Message) error {
	var fresh []*holding
	for i := range received {
		m := &received[i]
		h := a.held[*m.MessageId]
		known := h != nil || a.copies[*m.MessageId]
		if h == nil {
			h = &holding{queue: a.queue, id: *m.MessageId, message: m, order: len(a.held)}
			a.held[h.id] = h
		}
		h.receipt.Store(m.ReceiptHandle)
		if known {
			continue
		}
		fresh = append(fresh, h)
		if read, _, err := read(m, a.queues.recall); err == nil {
			if err := a.found(read); err != nil {
				return err
			}
		}
	}
	if !a.turning {
		return nil
	}
	return a.turn(ctx, fresh)
}

// turn puts messages that are held at the end of their groups: the copy first, so that none is lost
// whatever happens between.
func (a *audit) turn(ctx context.Context, all []*holding) error {
	slices.SortStableFunc(all, func(x, y *holding) int { return cmp.Compare(x.order, y.order) })
	for _, h := range all {
		copied, err := a.copy(ctx, h)
		if err != nil {
			return fmt.Errorf("put %q at the end of its group: %w", h.id, err)
		}
		a.copies[copied] = true
		delete(a.held, h.id)
	}
	for batch := range slices.Chunk(all, mostEntries) {
		if err := errors.Join(a.queues.remove(ctx, batch)...); err != nil {
			return fmt.Errorf("remove what was put at the end of its group: %w", err)
		}
	}
	return nil
}

// copy sends a message once more and returns the new one's id.
func (a *audit) copy(ctx context.Context, h *holding) (id string, err error) {
	group := h.message.Attributes[string(types.MessageSystemAttributeNameMessageGroupId)]
	err = a.queues.link.Insist(ctx, aws.AnswerTimeout, func(ctx context.Context) error {
		answer, err := a.queues.api.SendMessage(ctx, &sqs.SendMessageInput{
			QueueUrl: &a.queue.url, MessageBody: h.message.Body,
			MessageAttributes: h.message.MessageAttributes,
			MessageGroupId:    &group, MessageDeduplicationId: new("audit." + rand.Text()),
		})
		if err == nil {
			id = *answer.MessageId
		}
		return err
	})
	return id, err
}

// giveBack makes all that is held available again, also when the audit's time is over.
func (a *audit) giveBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditGives)
	defer cancel()
	var all errgroup.Group
	all.SetLimit(auditGivesAtOnce)
	for _, batch := range batches(slices.Collect(maps.Values(a.held))) {
		all.Go(func() error {
			return a.queues.setVisibility(ctx, batch, 0, aws.AnswerTimeout)
		})
	}
	if err := all.Wait(); err != nil {
		return fmt.Errorf("give back what was read: %w", err)
	}
	return nil
}
