package nats

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/faultline-sim/faultline/simulators/conn"
)

// listen is a queue subscription on core NATS until ctx ends. It subscribes again after a lost
// connection; what is published in between is missed.
func (s *subscription) listen(ctx context.Context) {
	for {
		l, err := s.client.await(ctx)
		if err != nil {
			return
		}
		s.listenOver(ctx, l)
		if s.client.life.PauseBefore(ctx, 1) != nil {
			return
		}
	}
}

// listenOver listens until the connection is lost or ctx ends.
func (s *subscription) listenOver(ctx context.Context, l *link) {
	settled := func(context.Context) error { return nil }
	sub, err := l.nc.QueueSubscribe(Token(s.Channel)+".*", Token(s.Group), func(msg *nats.Msg) {
		d := conn.Delivery{Channel: s.Channel, Ack: settled, Nack: settled}
		if d.Message, d.Err = fromMsg(msg.Header, msg.Data, s.client.cfg.Recall); d.Err != nil {
			d.Message, d.Raw = nil, msg.Data
		}
		s.Handle(d)
	})
	if err != nil {
		return
	}
	defer sub.Unsubscribe()
	limited, cancel := l.limit(ctx)
	err = l.nc.FlushWithContext(limited) // then the server has the subscription
	cancel()
	if err != nil {
		return
	}
	s.arrived()
	select {
	case <-l.up.Done():
	case <-ctx.Done():
	}
}
