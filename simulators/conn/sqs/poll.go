package sqs

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"golang.org/x/sync/errgroup"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/aws"
)

// holding is a message that was received and is not yet out of this client's hands.
type holding struct {
	queue    *queue
	id       string
	group    string                 // FIFO
	receipt  atomic.Pointer[string] // of its latest delivery
	delivery conn.Delivery
	told     func(error) // hears when the service has removed it; nil is nobody

	// An audit's own: what was received, and when.
	message *types.Message
	order   int

	// The subscription's lock guards these.
	renewed  time.Time
	settled  bool // by the consumer; it is held until the service knows
	renewing bool // a request is under way
	returned bool // to be given back when that request was answered
}

// poll receives until ctx ends, starting again after whatever happens. A receive that is under way
// then has until last ends.
func (s *subscription) poll(ctx, last context.Context, src *source) {
	most := mostEntries
	if src.fifo && src.counts {
		most = 1 // those behind one that fails would be counted with it
	}
	for failures := 0; ctx.Err() == nil; {
		room, err := s.reserve(ctx, most)
		if err != nil {
			return
		}
		received, err := s.receive(last, src, room)
		s.release(room - s.accept(src, received))
		if err == nil {
			failures = 0
			continue
		}
		failures++
		if s.queues.link.Pause(ctx, failures) != nil {
			return
		}
	}
}

func (s *subscription) receive(
	ctx context.Context, src *source, most int,
) ([]types.Message, error) {
	var received []types.Message
	err := s.queues.link.Try(ctx, longPoll+aws.AnswerTimeout/2, func(ctx context.Context) error {
		answer, err := s.queues.api.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl:              &src.url,
			MaxNumberOfMessages:   int32(most),
			VisibilityTimeout:     int32(visibility / time.Second),
			WaitTimeSeconds:       int32(longPoll / time.Second),
			MessageAttributeNames: []string{"All"},
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{
				types.MessageSystemAttributeNameApproximateReceiveCount,
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

// accept takes received messages into account, and says for how many room is used. One that is held
// still, because it was not renewed in time, has only got a new receipt. All are taken at once: one
// that is given back meanwhile takes those behind it in its group along.
func (s *subscription) accept(src *source, received []types.Message) (used int) {
	now := time.Now()
	all := make([]*holding, len(received))
	for i := range received {
		all[i] = s.hold(src, &received[i], now)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range all {
		if known := s.held[h.id]; known != nil {
			known.receipt.Store(h.receipt.Load())
			known.renewed = now
			continue
		}
		s.held[h.id] = h
		if !src.fifo {
			s.offer(h)
		} else if s.lines[h.group] = append(s.lines[h.group], h); len(s.lines[h.group]) == 1 {
			s.offer(h)
		}
		used++
	}
	return used
}

func (s *subscription) hold(src *source, m *types.Message, now time.Time) *holding {
	h := &holding{queue: src.queue, id: *m.MessageId, renewed: now}
	h.receipt.Store(m.ReceiptHandle)
	h.group = m.Attributes[string(types.MessageSystemAttributeNameMessageGroupId)]
	count := m.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)]
	attempt, _ := strconv.Atoi(count) // 0 says that it is not known
	h.delivery = conn.Delivery{
		Channel: s.Channel, Attempt: attempt, Redelivered: attempt > 1,
		Ack:  func(context.Context) error { return s.ack(h) },
		Nack: func(context.Context) error { return s.nack(h) },

		Confirm: func(told func(error)) { h.told = told },
	}
	var body []byte
	h.delivery.Message, body, h.delivery.Err = read(m, s.queues.recall)
	if h.delivery.Err != nil {
		h.delivery.Message, h.delivery.Raw = nil, body
	}
	return h
}

// ack settles a message, and hands out the next of its group.
func (s *subscription) ack(h *holding) error {
	s.mu.Lock()
	if s.over || h.settled {
		s.mu.Unlock()
		return s.describe("acknowledge", errGone)
	}
	h.settled = true
	s.free(1)
	if line := s.lines[h.group]; h.queue.fifo {
		if s.lines[h.group] = line[1:]; len(line) > 1 {
			s.offer(line[1])
		} else {
			delete(s.lines, h.group)
		}
	}
	s.mu.Unlock()
	s.settler.remove(h, func(err error) {
		s.forget(h)
		if h.told != nil {
			h.told(err)
		}
	})
	return nil
}

// nack gives a message back, with all behind it in its group, which nobody has seen yet.
func (s *subscription) nack(h *holding) error {
	s.mu.Lock()
	if s.over || h.settled {
		s.mu.Unlock()
		return s.describe("give back", errGone)
	}
	back := []*holding{h}
	if h.queue.fifo {
		back = s.lines[h.group]
		delete(s.lines, h.group)
	}
	s.free(len(back))
	back = slices.DeleteFunc(slices.Clone(back), func(h *holding) bool {
		h.settled, h.returned = true, true
		delete(s.held, h.id)
		return h.renewing
	})
	s.mu.Unlock()
	s.settler.giveBack(back)
	return nil
}

// forget ends the holding of a message that the service has removed.
func (s *subscription) forget(h *holding) {
	s.mu.Lock()
	if s.held[h.id] == h {
		delete(s.held, h.id)
	}
	s.mu.Unlock()
}

// renew keeps what is held from others until ctx ends.
func (s *subscription) renew(ctx context.Context) {
	tick := time.NewTicker(renewLook)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			s.renewDue(ctx, now)
		case <-ctx.Done():
			return
		}
	}
}

// renewDue renews all that have not been for a while, ten in a request, all requests at once. What
// is given back meanwhile is given back behind them, lest it be withheld again.
func (s *subscription) renewDue(ctx context.Context, now time.Time) {
	var due []*holding
	s.mu.Lock()
	for _, h := range s.held {
		if now.Sub(h.renewed) >= renewEvery {
			h.renewed, h.renewing = now, true
			due = append(due, h)
		}
	}
	s.mu.Unlock()
	var all errgroup.Group
	for _, batch := range batches(due) {
		all.Go(func() error {
			return s.queues.setVisibility(ctx, batch, visibility, visibility)
		})
	}
	_ = all.Wait() // what is not renewed is delivered again
	s.mu.Lock()
	due = slices.DeleteFunc(due, func(h *holding) bool {
		h.renewing = false
		return !h.returned
	})
	s.mu.Unlock()
	s.settler.giveBack(due)
}
