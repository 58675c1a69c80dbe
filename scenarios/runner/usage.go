package runner

import (
	"context"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology/engine"
)

const (
	// meterEvery is how often containers are asked what they use: asking costs them something too.
	meterEvery = time.Second
	// meterWithin bounds one answer.
	meterWithin = 3 * time.Second
)

// meter records what each node that can tell it uses of the machine, until ctx ends. Each has a
// goroutine of its own, so that one that does not answer keeps nobody waiting.
func (r *run) meter(ctx context.Context) error {
	c := newCrew(ctx)
	for _, n := range r.plan.AsBuilt.Nodes {
		m, ok := r.stack.Engine(n.Name).(engine.Metered)
		if !ok {
			m, ok = r.cast.Node(n.Name).(engine.Metered)
		}
		if ok {
			c.start("usage of "+n.Name, func(ctx context.Context) error {
				r.meterOne(ctx, n.Name, m)
				return nil
			})
		}
	}
	return c.wait()
}

// meterOne records what one node uses. While it does not run it has nothing to tell.
func (r *run) meterOne(ctx context.Context, node string, m engine.Metered) {
	var last spent
	for next := r.recorder.Now(); ; next += int64(meterEvery) {
		next = max(next, r.recorder.Now())
		if r.waitUntil(ctx, next) != nil {
			return
		}
		within, cancel := context.WithTimeout(ctx, meterWithin)
		used, err := m.Usage(within)
		cancel()
		if err != nil {
			last = spent{}
			continue
		}
		now := spent{r.recorder.Now(), used.CPU}
		if permille, ok := now.since(last); ok {
			r.used(node, "cpu_permille", now.at, permille)
		}
		r.used(node, "memory_bytes", now.at, used.Memory)
		last = now
	}
}

// spent is how much processor time had been used by a time of the run's clock.
type spent struct {
	at  int64
	cpu time.Duration
}

// since is how much of one core was used since an earlier reading, in thousandths; not known after
// a restart, and before there is a reading.
func (s spent) since(last spent) (permille int64, ok bool) {
	if last.at == 0 || s.at <= last.at || s.cpu < last.cpu {
		return 0, false
	}
	return int64(s.cpu-last.cpu) * 1000 / (s.at - last.at), true
}

func (r *run) used(node, what string, at, value int64) {
	e := history.New(history.Gauge, at)
	e.Node, e.Step, e.Value = node, what, value
	r.recorder.Record(&e)
}
