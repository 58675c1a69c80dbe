package runner

import (
	"context"
	"strings"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
)

const (
	// sampleEvery is how often wire bytes are read.
	sampleEvery = 250 * time.Millisecond
	// depthEach is at how many of these readings brokers are asked for depths: some take a request for
	// each partition.
	depthEach = 4
)

// sample records the depth of each consumed channel and the bytes of each wire until ctx ends.
func (r *run) sample(ctx context.Context) error {
	for n := 0; ; n++ {
		if n%depthEach == 0 {
			within, cancel := context.WithTimeout(ctx, sampleEvery)
			r.sampleDepths(within)
			cancel()
			r.sampleHeld()
		}
		r.sampleWires()
		r.tick()
		if err := r.waitUntil(ctx, r.recorder.Now()+int64(sampleEvery)); err != nil {
			return nil
		}
	}
}

func (r *run) sampleDepths(ctx context.Context) {
	for _, c := range r.consumed {
		n, err := c.broker.Depth(ctx, c.channel, c.group)
		if err != nil {
			continue // a broker that is down has no depth to tell; its node events say so
		}
		e := history.New(history.Gauge, r.recorder.Now())
		e.Step, e.Node, e.Channel, e.Handler, e.Value = "depth", c.node, c.ref, c.group, n
		r.recorder.Record(&e)
	}
}

// sampleHeld records the depth of channels on brokers that only the engine itself can tell.
func (r *run) sampleHeld() {
	for _, n := range r.plan.AsBuilt.Nodes {
		holder, ok := r.stack.Engine(n.Name).(engine.Holder)
		if !ok {
			continue
		}
		depths := map[[2]string]int64{}
		for at, waiting := range holder.Held() {
			depths[[2]string{at.Channel, withoutNumber(at.Client)}] += waiting
		}
		for _, c := range r.plan.AsBuilt.Channels {
			if c.Node() != n.Name {
				continue
			}
			for _, group := range r.plan.AsBuilt.Consumers(c.Ref) {
				e := history.New(history.Gauge, r.recorder.Now())
				e.Step, e.Node, e.Channel, e.Handler = "depth", n.Name, c.Ref, group.Name
				e.Value = depths[[2]string{topology.ChannelName(c.Ref), group.Name}]
				r.recorder.Record(&e)
			}
		}
	}
}

// withoutNumber is the node whose replica or member a client id names: "<node>-<number>".
func withoutNumber(client string) string {
	if i := strings.LastIndex(client, "-"); i >= 0 {
		return client[:i]
	}
	return client
}

func (r *run) sampleWires() {
	for i, w := range r.wires {
		requests, replies := r.stack.Fabric().Bytes(w)
		if r.seen[i] == [2]int64{requests, replies} {
			continue
		}
		r.seen[i] = [2]int64{requests, replies}
		e := history.New(history.Gauge, r.recorder.Now())
		e.Wire = r.wireNames[i]
		e.Step, e.Value = "bytes_up", requests
		r.recorder.Record(&e)
		e.Step, e.Value = "bytes_down", replies
		r.recorder.Record(&e)
	}
}
