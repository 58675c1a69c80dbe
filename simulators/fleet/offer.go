package fleet

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/message"
)

// outbox is one member's messages of one flow. Messages of a flow with a key, or to a broker, leave
// one after the other; requests without a key do not wait for each other.
type outbox struct {
	mu     sync.Mutex
	pen    *pen
	queue  serial[*letter]
	inHand int // letters of a flow without order
}

// letter is one message on its way out.
type letter struct {
	send     *send
	member   *member
	message  *message.Message
	intended int64
}

// choice draws the members that send a flow's messages.
type choice struct {
	mu   sync.Mutex
	rand *rand.Rand
}

func (c *choice) draw(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rand.IntN(n)
}

// Offer begins one message of a flow: a member is drawn, its body written and the message queued.
// A member whose buffer is full loses it, and says so. A flow that the fleet does not send is not
// offered to it.
func (f *Fleet) Offer(flow string, number, intended int64) {
	s, ok := f.sends[flow]
	if !ok || f.life.Err() != nil {
		return
	}
	m := f.members[s.choice.draw(len(f.members))]
	box := m.outbox(flow)
	box.mu.Lock()
	l, err := m.write(box, s, number, intended)
	box.mu.Unlock()
	l.record(history.None, "")
	f.pending.Add(1)
	if err != nil {
		l.answered(simulators.Refusal(simulators.ReasonExpression, err))
		return
	}
	if !box.put(l) {
		l.answered(simulators.Refusal(reasonBufferFull, nil))
	}
}

// reasonBufferFull is a message that a member had no room for.
const reasonBufferFull = "buffer_full"

func (m *member) outbox(flow string) *outbox {
	m.mu.Lock()
	defer m.mu.Unlock()
	box, ok := m.flows[flow]
	if !ok {
		box = &outbox{pen: m.fleet.newPen(flow, m)}
		m.flows[flow] = box
	}
	return box
}

// write makes the message, with its place among those with its key.
func (m *member) write(box *outbox, s *send, number, intended int64) (*letter, error) {
	env := m.fleet.env
	at := time.Now().Add(time.Duration(intended - env.Recorder.Now()))
	b, err := box.pen.write(s, at)
	written := &message.Message{
		Flow: s.Flow, Number: number, Source: m.source, Subject: b.subject, Time: at,
		Trace: env.Trace(s.Flow, number), Span: spanOf(number), Key: b.key,
		KeySeq: env.NextOfKey(s.Flow, b.key), ParentNumber: -1, Data: b.data,
	}
	env.Remember(written)
	return &letter{send: s, member: m, intended: intended, message: written}, err
}

// spanOf is the span id of a send: never zero.
func spanOf(number int64) (span [8]byte) {
	h := uint64(number+1)*0x9e3779b97f4a7c15 | 1
	for i := range span {
		span[i] = byte(h >> (8 * i))
	}
	return span
}

// put sends the letter in its turn; false says that the member's buffer is full.
func (b *outbox) put(l *letter) bool {
	f := l.member.fleet
	most := f.node.Session.Inflight
	if l.send.broker != "" || l.send.flow.Key != "" {
		return b.queue.push(l, most, &f.work, (*letter).deliver)
	}
	if !b.enter(most) {
		return false
	}
	return f.work.start(func() {
		l.deliver()
		b.leave()
	})
}

func (b *outbox) enter(most int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if most > 0 && b.inHand >= most {
		return false
	}
	b.inHand++
	return true
}

func (b *outbox) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inHand--
}

// record keeps a row about the message as a whole.
func (l *letter) record(outcome history.Outcome, reason string) {
	e := l.event(history.Produce)
	if outcome == history.None {
		e.At = l.intended
	} else {
		e.Duration = e.At - l.intended
	}
	e.Outcome, e.Reason = outcome, reason
	l.member.fleet.env.Recorder.Record(&e)
}

// event is begun for the letter's message.
func (l *letter) event(kind history.Kind) history.Event {
	f, m := l.member.fleet, l.message
	e := history.New(kind, f.env.Recorder.Now())
	e.Node, e.Replica = f.node.Name, l.member.index
	e.Flow, e.Message, e.Trace, e.Key, e.KeySeq = m.Flow, m.Number, m.Trace, m.Key, m.KeySeq
	return e
}

// answered ends the message at its source.
func (l *letter) answered(f *simulators.Failure) {
	if f == nil {
		l.record(history.Ok, "")
	} else {
		l.record(f.Outcome, f.Reason)
	}
	l.member.fleet.pending.Add(-1)
}
