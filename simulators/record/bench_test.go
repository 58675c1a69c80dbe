package record_test

import (
	"encoding/binary"
	"sync"
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

// BenchmarkRecordPaced records 200,000 events a second from 8 goroutines, with all sealing going
// on, and tells what one Record takes its caller.
func BenchmarkRecordPaced(b *testing.B) {
	const goroutines, rate = 8, 200_000
	for b.Loop() {
		r, err := record.New(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		var all sync.WaitGroup
		took := make([]time.Duration, goroutines)
		n := make([]int, goroutines)
		start := time.Now()
		for g := range goroutines {
			all.Go(func() {
				for time.Since(start) < 2*time.Second {
					due := int(time.Since(start).Seconds() * rate / goroutines)
					began := time.Now()
					batch := due - n[g]
					for range batch {
						e := event(n[g])
						r.Record(&e)
						n[g]++
					}
					took[g] += time.Since(began)
					time.Sleep(time.Millisecond)
				}
			})
		}
		all.Wait()
		var total time.Duration
		events := 0
		for g := range goroutines {
			total += took[g]
			events += n[g]
		}
		closing := time.Now()
		if err := r.Close(true); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(total.Nanoseconds())/float64(events), "ns/event")
		b.ReportMetric(float64(events)/2, "events/s")
		b.ReportMetric(time.Since(closing).Seconds(), "close-s")
	}
}

// BenchmarkRecord is the cost of one Record alone: memory enough for all, no counters.
func BenchmarkRecord(b *testing.B) {
	r, err := record.NewWith(b.TempDir(), record.Options{Every: time.Hour, Segment: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		e := event(1)
		for pb.Next() {
			e.At++
			r.Record(&e)
		}
	})
}
