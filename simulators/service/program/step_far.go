package program

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
)

// call sends the message to another service over HTTP; what it answers is the item's answer.
func call(ctx context.Context, x *run, s *step, it *Item) error {
	m, err := x.outgoing(s, it)
	if err != nil {
		return err
	}
	if err := x.a.introduce(s, m); err != nil {
		return err
	}
	path := fill(s.Path, url.PathEscape(m.Subject))
	client := x.a.Callees[s.Target]
	return x.fallback(s, it, x.one(ctx, s, it, try{
		kind: history.Call,
		once: func(ctx context.Context) error {
			got, err := client.Do(ctx, s.Method, path, m)
			if err != nil {
				return err
			}
			if f := simulators.ExplainStatus(got.Status); f != nil {
				return f
			}
			it.answer.body = got.Body
			return nil
		},
	}))
}

// fallback answers in place of a step that failed for good, and remembers good answers for that.
func (x *run) fallback(s *step, it *Item, err error) error {
	declared := s.Policy.Fallback
	if declared == nil {
		return err
	}
	g := x.a.guards[s.guard]
	if err == nil {
		good := it.answer
		g.cached.Store(&good)
		return nil
	}
	if declared.Value != "cached" {
		it.answer.body = []byte(declared.Value)
		return nil
	}
	if cached := g.cached.Load(); cached != nil {
		it.answer.body = cached.body
		return nil
	}
	return err
}

// publish sends the message to a channel, or into the mailbox of the member it is for.
func publish(ctx context.Context, x *run, s *step, it *Item) error {
	m, err := x.outgoing(s, it)
	if err != nil {
		return err
	}
	if s.local {
		return x.one(ctx, s, it, try{
			kind: history.Publish, channel: s.Target,
			once: func(context.Context) error { return x.a.Boxes[s.Target].Put(m.Subject, m) },
		})
	}
	return x.publishTo(ctx, s, it, s.Target, m)
}

func (x *run) publishTo(
	ctx context.Context, s *step, it *Item, ref string, m *message.Message,
) error {
	broker, err := x.a.broker(ref)
	if err != nil {
		return err
	}
	channel := fill(topology.ChannelName(ref), m.Subject)
	copies := 1 + x.a.Misbehaviors.Duplicate(x.a.Index, m)
	return x.one(ctx, s, it, try{
		kind: history.Publish, channel: ref,
		once: func(ctx context.Context) (err error) {
			for range copies {
				if _, err = broker.Publish(ctx, channel, m); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// request publishes the message and waits for the answer, which is the item's answer.
func request(ctx context.Context, x *run, s *step, it *Item) error {
	m, err := x.outgoing(s, it)
	if err != nil {
		return err
	}
	asked := m.With(func(m *message.Message) {
		if m.Headers == nil {
			m.Headers = map[string]string{}
		}
		m.Headers[message.HeaderReplyTo] = s.ReplyTo
	})
	broker, err := x.a.broker(s.Target)
	if err != nil {
		return err
	}
	channel := fill(topology.ChannelName(s.Target), m.Subject)
	return x.fallback(s, it, x.one(ctx, s, it, try{
		kind: history.Call, channel: s.Target,
		once: func(ctx context.Context) error {
			answered, forget := x.a.replies.await(asked)
			defer forget()
			if _, err := broker.Publish(ctx, channel, asked); err != nil {
				return err
			}
			select {
			case it.answer.body = <-answered:
				return nil
			case <-ctx.Done():
				return fmt.Errorf("await reply on %q: %w: %w", s.ReplyTo, conn.ErrUnknown, ctx.Err())
			}
		},
	}))
}

// store writes the message, once by its id or as a new row each time.
func store(ctx context.Context, x *run, s *step, it *Item) error {
	return x.put(ctx, s, []*Item{it}, []*message.Message{it.Message})
}

// storeBatch writes the items of a batch that the step concerns, together.
func (x *run) storeBatch(ctx context.Context, s *step, items []*Item) {
	var live []*Item
	var ms []*message.Message
	for _, it := range items {
		if x.concerns(s, it) {
			live, ms = append(live, it), append(ms, it.Message)
		}
	}
	if len(live) == 0 {
		return
	}
	err := x.a.Gate.Pass(ctx)
	if err == nil {
		err = x.put(ctx, s, live, ms)
	}
	x.failAll(live, err)
}

func (x *run) put(ctx context.Context, s *step, items []*Item, ms []*message.Message) error {
	client := x.a.Stores[s.Target]
	return x.tries(ctx, s, items, try{
		kind: history.Store,
		once: func(ctx context.Context) error {
			if s.Append {
				return client.Append(ctx, s.Path, ms)
			}
			return client.Put(ctx, s.Path, ms)
		},
	})
}

// lookup reads the row of the message's subject, or of its id; a row that is not there is an
// answer too.
func lookup(ctx context.Context, x *run, s *step, it *Item) error {
	client := x.a.Stores[s.Target]
	id := it.Message.Subject
	if id == "" {
		id = it.Message.ID()
	}
	return x.fallback(s, it, x.one(ctx, s, it, try{
		kind: history.Call,
		once: func(ctx context.Context) error {
			found, err := client.Get(ctx, s.Path, id)
			if errors.Is(err, conn.ErrNotFound) {
				it.answer.body = nil
				return nil
			}
			if err != nil {
				return err
			}
			it.answer.body = found.Data
			return nil
		},
	}))
}

// answerTo is the message that answers m: the same message, with the answer as its body.
func answerTo(m *message.Message, body []byte) *message.Message {
	return m.With(func(m *message.Message) {
		m.Data, m.Headers, m.Token = body, nil, ""
	})
}

// fill puts id in the place of each segment that begins with a colon.
func fill(name, id string) string {
	if !strings.Contains(name, ":") {
		return name
	}
	segments := strings.Split(name, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, ":") {
			segments[i] = id
		}
	}
	return strings.Join(segments, "/")
}
