package record_test

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators/record"
)

// event is a call as a simulated service records it.
func event(i int) history.Event {
	e := history.New(history.Call, int64(i)*5000)
	e.Node, e.Handler, e.Step = "service_platform.container.worker1", "records", "call data_api"
	e.Flow, e.Message, e.Key, e.KeySeq = "telemetry", int64(i), "hw-017", int64(i)
	e.Wire = "service_platform.container.worker1 -> data_core.data_api"
	e.Outcome, e.Attempt, e.Delivery, e.Duration = history.Ok, 1, 1, 480_000+int64(i%1000)
	e.Trace = [16]byte{0: 1}
	binary.BigEndian.PutUint64(e.Trace[8:], uint64(i))
	return e
}

const (
	goroutines = 8
	perSecond  = 200_000
)

// BenchmarkRecordPaced records 200,000 events a second from 8 goroutines for two seconds, with all
// sealing going on beside it, and tells what one Record takes its caller then.
func BenchmarkRecordPaced(b *testing.B) {
	for b.Loop() {
		r, err := record.New(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		took, events := paced(r, 2*time.Second)
		closing := time.Now()
		if err := r.Close(true); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(took.Nanoseconds())/float64(events), "ns/event")
		b.ReportMetric(float64(events)/2, "events/s")
		b.ReportMetric(time.Since(closing).Seconds(), "close-s")
	}
}

// paced records for a while and returns the time spent in recording, over all goroutines.
func paced(r *record.Recorder, span time.Duration) (took time.Duration, events int) {
	var all sync.WaitGroup
	var spent, sent atomic.Int64
	start := time.Now()
	for range goroutines {
		all.Go(func() {
			n := 0
			for since := time.Since(start); since < span; since = time.Since(start) {
				began := time.Now()
				for due := int(since.Seconds() * perSecond / goroutines); n < due; n++ {
					e := event(n)
					r.Record(&e)
				}
				spent.Add(int64(time.Since(began)))
				time.Sleep(time.Millisecond)
			}
			sent.Add(int64(n))
		})
	}
	all.Wait()
	return time.Duration(spent.Load()), int(sent.Load())
}

// BenchmarkRecordBurst records a second's worth at once, from 8 goroutines, into new memory.
func BenchmarkRecordBurst(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		o := record.Options{Every: time.Hour, Segment: 1 << 30}
		r, err := record.NewWith(b.TempDir(), o)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		var all sync.WaitGroup
		for range goroutines {
			all.Go(func() {
				for i := range perSecond / goroutines {
					e := event(i)
					r.Record(&e)
				}
			})
		}
		all.Wait()
		b.StopTimer()
		if err := r.Close(true); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/perSecond, "ns/event")
}
