package nats

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/faultline-sim/faultline/simulators/conn"
)

// listen is a queue subscription on core NATS until ctx ends. The library subscribes again after a
// lost connection; what is published in between is missed.
func (s *subscription) listen(ctx context.Context) {
	nc := s.client.connection()
	settled := func(context.Context) error { return nil }
	sub, err := nc.QueueSubscribe(Token(s.Channel)+".*", Token(s.Group), func(msg *nats.Msg) {
		d := conn.Delivery{Channel: s.Channel, Ack: settled, Nack: settled}
		if d.Message, d.Err = fromMsg(msg.Header, msg.Data, s.client.cfg.Recall); d.Err != nil {
			d.Message, d.Raw = nil, msg.Data
		}
		s.Handle(d)
	})
	if err != nil {
		return // the client is closed
	}
	defer sub.Unsubscribe()
	limited, cancel := s.client.limit(ctx)
	err = nc.FlushWithContext(limited) // then the server has the subscription
	cancel()
	if err != nil {
		return
	}
	s.arrived()
	<-ctx.Done()
}
