package program

import (
	"context"
	"slices"
	"sync"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
)

// replies hands answers that arrive over a broker to the requests that wait for them. The zero
// value is ready.
type replies struct {
	mu      sync.Mutex
	waiting map[asked][]chan []byte
}

// asked is the message that an answer belongs to.
type asked struct {
	flow   string
	number int64
}

// await is where the answer to m will arrive; forget ends the waiting.
func (p *replies) await(m *message.Message) (answered <-chan []byte, forget func()) {
	key, ch := asked{m.Flow, m.Number}, make(chan []byte, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting = map[asked][]chan []byte{}
	}
	p.waiting[key] = append(p.waiting[key], ch)
	return ch, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		mine := func(c chan []byte) bool { return c == ch }
		p.waiting[key] = slices.DeleteFunc(p.waiting[key], mine)
		if len(p.waiting[key]) == 0 {
			delete(p.waiting, key)
		}
	}
}

// arrived hands an answer to all that wait for it; an answer that nobody waits for is forgotten.
func (p *replies) arrived(m *message.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ch := range p.waiting[asked{m.Flow, m.Number}] {
		select {
		case ch <- m.Data:
		default: // answered already
		}
	}
}

// SubscribeReplies listens on the channels that answers arrive on. Each actor has a group of its
// own, so that an answer reaches the one that asked.
func (a *Actor) SubscribeReplies(ctx context.Context) error {
	for _, ref := range a.Program.replies {
		err := a.Brokers[topology.ChannelNode(ref)].Subscribe(ctx, conn.Subscription{
			Channel: topology.ChannelName(ref),
			Group:   a.Client + "-replies",
			QoS:     1,
			Handle: func(d conn.Delivery) {
				if d.Err == nil {
					a.replies.arrived(d.Message)
				}
				d.Ack(ctx) // an answer that is delivered again is forgotten
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}
