package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/scenarios"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
)

// redriveWithin bounds the publishing of one redriven message.
const redriveWithin = 10 * time.Second

// redrive publishes every message that stands in a dead-letter channel to the channel it came
// from, as an operator would, each message once.
func (r *run) redrive(ctx context.Context, a scenarios.Act) error {
	r.action(a.Name, topology.ChannelNode(a.Redrive), "redrive "+a.Redrive)
	broker, err := r.auditors.broker(r.plan.AsBuilt.Node(topology.ChannelNode(a.Redrive)))
	if err != nil {
		return err
	}
	var waiting []*message.Message
	seen := map[string]bool{}
	err = broker.Audit(ctx, topology.ChannelName(a.Redrive), func(m *message.Message) error {
		if !seen[m.ID()] {
			seen[m.ID()] = true
			waiting = append(waiting, m)
		}
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("redrive %q: %w", a.Redrive, err)
	}
	for _, m := range waiting {
		if err := r.redriveOne(ctx, a.Redrive, m); err != nil {
			return fmt.Errorf("redrive %s from %q: %w", m.ID(), a.Redrive, err)
		}
	}
	r.say("%s: %d messages redriven from %s", a.Name, len(waiting), a.Redrive)
	return nil
}

func (r *run) redriveOne(ctx context.Context, from string, m *message.Message) error {
	ctx, cancel := context.WithTimeout(ctx, redriveWithin)
	defer cancel()
	origin := r.plan.AsBuilt.Origin(from, m.Headers[message.HeaderOrigin])
	to := r.plan.AsBuilt.Node(topology.ChannelNode(origin))
	if to == nil || to.Kind != topology.Broker {
		return fmt.Errorf("its origin %q is no channel of the topology", m.Headers[message.HeaderOrigin])
	}
	broker, err := r.auditors.broker(to)
	if err != nil {
		return err
	}
	again := m.With(func(m *message.Message) { m.Headers, m.Attempt = nil, 0 })
	receipt, err := broker.Publish(ctx, topology.ChannelName(origin), again)
	if err != nil {
		return err
	}
	e := history.New(history.Redrive, r.recorder.Now())
	e.Flow, e.Message, e.Key, e.KeySeq, e.Trace = m.Flow, m.Number, m.Key, m.KeySeq, m.Trace
	e.Node, e.Channel, e.Step = to.Name, origin, from
	e.Partition, e.Offset = receipt.Partition, receipt.Offset
	r.recorder.Record(&e)
	return nil
}
