package sqs

import (
	"context"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/aws"
)

// MostBytes is the size of a message at most, its attributes included, and of one request's
// messages together. Source: Amazon SQS Developer Guide, "Message quotas" (since August 2025).
const MostBytes = 1 << 20

// fits refuses what is larger than most bytes.
func fits(size, most int) error {
	if size <= most {
		return nil
	}
	return fmt.Errorf("%w: %d bytes with its attributes, at most %d are allowed: "+
		"make it smaller, or keep the body in a store and send its key", conn.ErrRefused, size, most)
}

// newLane is the lane to a queue.
func (q *Queues) newLane(to *queue) *Lane {
	return NewLane(q.link, LaneOptions{
		Most: MostBytes, Ordered: to.fifo,
		Send: func(ctx context.Context, letters []*Letter) []error { return q.send(ctx, to, letters) },
	})
}

// send makes one request.
func (q *Queues) send(ctx context.Context, to *queue, letters []*Letter) []error {
	in := &sqs.SendMessageBatchInput{QueueUrl: &to.url}
	for i, l := range letters {
		e := types.SendMessageBatchRequestEntry{
			Id: new(strconv.Itoa(i)), MessageBody: &l.Body, MessageAttributes: l.attributes(),
		}
		if to.fifo {
			e.MessageGroupId, e.MessageDeduplicationId = &l.Group, &l.Copy
		}
		in.Entries = append(in.Entries, e)
	}
	var answer *sqs.SendMessageBatchOutput
	err := q.link.Try(ctx, aws.AnswerTimeout, func(ctx context.Context) (err error) {
		answer, err = q.api.SendMessageBatch(ctx, in)
		return err
	})
	if err != nil {
		return All(len(letters), err)
	}
	told := Untold(len(letters))
	for _, ok := range answer.Successful {
		told.Tell(*ok.Id, nil)
	}
	for _, f := range answer.Failed {
		told.Tell(*f.Id, aws.Entry(f.Code, f.Message, f.SenderFault))
	}
	return told
}

// Told is what became of each entry of a request. An entry's id is its index.
type Told []error

// errUntold is what an entry comes to that an answer says nothing of.
var errUntold = fmt.Errorf("%w: not named in the answer", conn.ErrUnknown)

// Untold is for n entries of an answer that is still to be read.
func Untold(n int) Told { return All(n, errUntold) }

// All is one error for each of n entries.
func All(n int, err error) Told {
	all := make(Told, n)
	for i := range all {
		all[i] = err
	}
	return all
}

// Tell says what became of an entry.
func (t Told) Tell(id string, err error) {
	if i, bad := strconv.Atoi(id); bad == nil && i >= 0 && i < len(t) {
		t[i] = err
	}
}

// put sends a letter to what a name stands for. A queue that has gone since it was found is looked
// for again by the next.
func (q *Queues) put(ctx context.Context, name string, l *Letter) error {
	to, err := q.find(ctx, name)
	if err != nil {
		return err
	}
	err = q.lane(to).Put(ctx, l)
	if missing(err) {
		q.forget(name)
	}
	return err
}

// lane is the one to a queue.
func (q *Queues) lane(to *queue) *Lane {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lanes[to.url]
	if l == nil {
		l = q.newLane(to)
		q.lanes[to.url] = l
	}
	return l
}

// Explain says where an error of publishing came up.
func Explain(err error, channel, wire string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("publish to %q over %s: %w", channel, wire, err)
}
