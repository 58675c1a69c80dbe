package record

import (
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
)

const (
	// delaySample is how long the sampler asks to sleep.
	delaySample = 5 * time.Millisecond
	// delayWindow is how often it records the worst it saw.
	delayWindow = 100 * time.Millisecond
)

// SchedDelay records, each 100 ms until Close, a gauge "sched_delay_ns": by how much a goroutine
// that wanted to sleep 5 ms woke too late, at worst. It is what the machine's load and our own add
// to every latency measured, so a checker of latencies must know it. Start it once.
func (r *Recorder) SchedDelay() {
	r.others.Go(func() {
		timer := time.NewTimer(delaySample)
		defer timer.Stop()
		asked := time.Now()
		for window, worst := asked, time.Duration(0); ; {
			select {
			case <-r.stop:
				return
			case <-timer.C:
			}
			now := time.Now()
			worst = max(worst, now.Sub(asked)-delaySample)
			if now.Sub(window) >= delayWindow {
				r.gauge("sched_delay_ns", int64(worst))
				window, worst = now, 0
			}
			asked = time.Now()
			timer.Reset(delaySample)
		}
	})
}

// gauge records a reading of the whole run.
func (r *Recorder) gauge(name string, value int64) {
	e := history.New(history.Gauge, r.Now())
	e.Step, e.Value = name, value
	r.Record(&e)
}
