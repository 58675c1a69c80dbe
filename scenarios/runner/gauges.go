package runner

import (
	"context"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
)

// sampleEvery is how often depths and wire bytes are read.
const sampleEvery = 250 * time.Millisecond

// sample records the depth of each consumed channel and the bytes of each wire until ctx ends.
func (r *run) sample(ctx context.Context) error {
	for {
		within, cancel := context.WithTimeout(ctx, sampleEvery)
		r.sampleDepths(within)
		cancel()
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
