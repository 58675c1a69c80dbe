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
	for _, f := range r.plan.Flows {
		c.start("load of "+f.Flow, func(ctx context.Context) error { return r.offer(ctx, f) })
	}
	return c.wait()
}

func (r *run) offer(ctx context.Context, f scenarios.FlowPlan) error {
	source := r.cast.Source(f.Flow)
	if source == nil {
		return fmt.Errorf("flow %q has no source that can be asked to send", f.Flow)
	}
	number := int64(0)
	for at := range f.Arrivals() {
		intended := r.origin + int64(at)
		if err := r.waitUntil(ctx, intended); err != nil {
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
