package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/httpx"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/simulators/service/mailbox"
	"github.com/faultline-sim/faultline/simulators/service/program"
	"github.com/faultline-sim/faultline/topology"
)

// pollWithin bounds one long poll: longer than a service holds an empty one.
const pollWithin = mailbox.Hold + 5*time.Second

// polls says that members fetch messages from mailboxes.
func (f *Fleet) polls() bool {
	for _, h := range f.program.Handlers {
		n := f.env.Topology.Node(topology.ChannelNode(h.Source))
		if n != nil && n.Kind != topology.Broker {
			return true
		}
	}
	return false
}

// poller fetches one member's messages from one mailbox.
type poller struct {
	member  *member
	handler *program.Handler
	client  *httpx.Client
	wire    topology.Wire
	acked   int64 // the last message taken
	working atomic.Bool
}

// poll begins to fetch a member's messages from its mailbox, one long poll after the other.
func (m *member) poll(h *program.Handler) error {
	w := topology.Wire{From: m.fleet.node.Name, To: topology.ChannelNode(h.Source)}
	p := &poller{member: m, handler: h, wire: w}
	p.client = httpx.NewClient(&paced{
		Dialer: m.lines.Over(m.fleet.env.Fabric.Dialer(w, 0)), member: m,
		dialled: func() { p.works(true) }, // the far end may hold a poll for long
	})
	m.mu.Lock()
	m.closes = append(m.closes, p.client.Close)
	m.mu.Unlock()
	m.fleet.work.start(p.run)
	return nil
}

func (p *poller) run() {
	life := p.member.fleet.life
	for failures := 0; life.Err() == nil; {
		err := p.once(life)
		p.works(err == nil)
		if err == nil {
			failures = 0
			continue
		}
		failures++
		if simulators.Wait(life, p.member.pause(failures)) != nil {
			return
		}
	}
}

// works tells when fetching begins to work, and when it stops to.
func (p *poller) works(now bool) {
	if p.member.fleet.life.Err() != nil || !p.working.CompareAndSwap(!now, now) {
		return
	}
	if now {
		p.member.changed("connect", p.wire)
	} else {
		p.member.changed("disconnect", p.wire)
	}
}

// once is one long poll. What came is handled before it is acknowledged with the next one.
func (p *poller) once(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, pollWithin)
	defer cancel()
	path := mailbox.Path(p.handler.Source, p.member.id, p.acked)
	got, err := p.client.Do(limited, "GET", path, nil)
	if err != nil {
		return err
	}
	if f := simulators.ExplainStatus(got.Status); f != nil {
		return f
	}
	if len(got.Body) == 0 {
		return nil
	}
	var answer mailbox.Answer
	if err := json.Unmarshal(got.Body, &answer); err != nil {
		return fmt.Errorf("read mailbox: %w", err)
	}
	p.take(ctx, answer)
	return nil
}

func (p *poller) take(ctx context.Context, answer mailbox.Answer) {
	first := answer.Last - int64(len(answer.Messages)) + 1
	for i, doc := range answer.Messages {
		number := first + int64(i)
		settle := func(context.Context) error {
			p.acked = max(p.acked, number)
			return nil
		}
		leave := func(context.Context) error { return nil }
		d := conn.Delivery{
			Channel: topology.ChannelName(p.handler.Source), Offset: number, Ack: settle, Nack: leave,
		}
		m, err := message.FromStructured(doc)
		if err != nil {
			p.member.actor.Refuse(ctx, p.handler, d)
			continue
		}
		d.Message = m
		p.member.actor.Handle(ctx, p.handler, []*program.Item{{Delivery: d, Message: m}})
		if p.acked < number {
			return // it comes again with the next poll, and what is behind it
		}
	}
}
