package runner

import (
	"context"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
)

const (
	// quietFor is how long nothing may move before the system counts as drained.
	quietFor   = 700 * time.Millisecond
	drainCheck = 50 * time.Millisecond
	// depthWithin bounds the last reading of all depths, when nothing else is done meanwhile.
	depthWithin = 10 * time.Second
)

// drain waits, without load, until nothing moves any more, at most as long as the plan allows.
// What still moves then is the checkers' business, not an error.
func (r *run) drain(ctx context.Context) error {
	err := r.untilQuiet(ctx)
	last, cancel := context.WithTimeout(ctx, depthWithin)
	defer cancel()
	r.sampleDepths(last) // what is left in the channels says what is still on its way
	r.sampleHeld()
	return err
}

func (r *run) untilQuiet(ctx context.Context) error {
	moved := r.recorder.Count(moves)
	defer moved.Stop()
	end := r.recorder.Now() + int64(r.plan.Drain)
	last, since := int64(-1), r.recorder.Now()
	for now := since; now < end; now = r.recorder.Now() {
		if n := moved.Value(); n != last || r.busy(ctx) {
			last, since = n, now
		} else if now-since >= int64(quietFor) {
			return nil
		}
		if err := r.waitUntil(ctx, now+int64(drainCheck)); err != nil {
			return err
		}
	}
	return nil
}

// moves matches every event of a flow's message.
func moves(e *history.Event) bool { return e.Flow != "" && e.Message >= 0 }

// busy says that some message is known to be on its way: offered and not answered, in a handler's
// hands, or waiting in a channel.
func (r *run) busy(ctx context.Context) bool {
	if r.cast.Busy() > 0 {
		return true
	}
	for _, c := range r.consumed {
		if n, err := c.broker.Depth(ctx, c.channel, c.group); err == nil && n > 0 {
			return true
		}
	}
	return false
}
