package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/faultline-sim/faultline/scenarios"
)

// offerAll offers every flow's messages at their intended times, each flow from a goroutine of its
// own, and returns when the load is over.
func (r *run) offerAll(ctx context.Context) error {
	c := newCrew(ctx)
	for i, f := range r.plan.Flows {
		phase := int64(i) * int64(r.flowApart())
		c.start("load of "+f.Flow, func(ctx context.Context) error { return r.offer(ctx, f, phase) })
	}
	return c.wait()
}

// flowApart is how far apart messages of two flows are sent that are meant for one instant: in
// virtual time nobody else decides which is first.
func (r *run) flowApart() time.Duration {
	if r.plan.Time == scenarios.VirtualTime {
		return 1009 * time.Nanosecond
	}
	return 0
}

// offer offers one flow's messages, each so much later than it is meant for.
func (r *run) offer(ctx context.Context, f scenarios.FlowPlan, later int64) error {
	source := r.cast.Source(f.Flow)
	if source == nil {
		return fmt.Errorf("flow %q has no source that can be asked to send", f.Flow)
	}
	number := int64(0)
	for at := range f.Arrivals() {
		intended := r.origin + int64(at)
		if err := r.waitUntil(ctx, intended+later); err != nil {
			return err
		}
		source.Offer(f.Flow, number, intended)
		number++
		r.sent.Add(1)
	}
	return r.waitUntil(ctx, r.origin+int64(r.plan.LoadEnds()))
}

// waitUntil returns at a time of the run's clock, at once when it is past.
func (r *run) waitUntil(ctx context.Context, at int64) error {
	left := time.Duration(at - r.recorder.Now())
	if left <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
