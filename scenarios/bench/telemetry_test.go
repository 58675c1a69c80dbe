package main

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/simulators/record"
)

const (
	rounds     = 5
	atOnce     = 400 // messages on their way to the data lake, at most
	saturating = 4_000
	warmUp     = 500 // of these, not measured
	paced      = 600
	pace       = 200 // a second
	giveUp     = 60 * time.Second
)

// way names one of the things that are compared, and brings it up. The folder is its own.
type way struct {
	name string
	up   func(ctx context.Context, dir string, a *arrivals) (side, error)
}

var (
	byHand   = way{"by hand", writeByHand}
	recorded = way{"recorded", func(ctx context.Context, dir string, a *arrivals) (side, error) {
		r, err := record.New(dir)
		if err != nil {
			return nil, err
		}
		return simulate(ctx, r, a)
	}}
	unrecorded = way{"unrecorded", func(ctx context.Context, _ string, a *arrivals) (side, error) {
		return simulate(ctx, record.Off(), a)
	}}
)

// sample is what one run of one side gave.
type sample struct {
	perSecond float64       // messages into the data lake
	cpu       time.Duration // of the whole process, a message
	p50       time.Duration // from intended to in the data lake
}

// BenchmarkTelemetry holds the telemetry flow as simulated, recorded and proxied against the same
// flow written by hand: how many messages a second pass when there are always enough of them.
func BenchmarkTelemetry(b *testing.B) {
	for b.Loop() {
		got := alternate(b, saturate, byHand, recorded)
		hand, ours := got[0], got[1]
		b.ReportMetric(medianOf(hand, rate), "hand-msg/s")
		b.ReportMetric(medianOf(ours, rate), "faultline-msg/s")
		b.ReportMetric(medianRatio(ours, hand, rate), "throughput-ratio")
		b.ReportMetric(medianRatio(hand, ours, cpu), "cpu-ratio")
	}
}

// BenchmarkTelemetryPaced compares the median latency of 200 messages a second.
func BenchmarkTelemetryPaced(b *testing.B) {
	for b.Loop() {
		got := alternate(b, trickle, byHand, recorded)
		hand, ours := medianOf(got[0], p50), medianOf(got[1], p50)
		b.ReportMetric(hand/1e6, "hand-p50-ms")
		b.ReportMetric(ours/1e6, "faultline-p50-ms")
		b.ReportMetric((ours-hand)/1e6, "p50-more-ms")
	}
}

// BenchmarkRecording compares the simulated flow with and without its history.
func BenchmarkRecording(b *testing.B) {
	for b.Loop() {
		got := alternate(b, saturate, unrecorded, recorded)
		b.ReportMetric(100*(medianRatio(got[0], got[1], rate)-1), "slower-%")
		b.ReportMetric(100*(medianRatio(got[1], got[0], cpu)-1), "cpu-more-%")
	}
}

func rate(s sample) float64 { return s.perSecond }
func cpu(s sample) float64  { return float64(s.cpu) }
func p50(s sample) float64  { return float64(s.p50) }

// alternate measures one way after the other, several times over, so that a machine that is
// busier for a while is so for both. Who comes first changes from round to round.
func alternate(b *testing.B, measure func(side, *arrivals) sample, ways ...way) [][]sample {
	got := make([][]sample, len(ways))
	for round := range rounds {
		for i := range ways {
			at := (i + round) % len(ways)
			got[at] = append(got[at], once(b, measure, ways[at]))
		}
	}
	return got
}

func once(b *testing.B, measure func(side, *arrivals) sample, w way) sample {
	a := newArrivals(saturating, atOnce)
	ctx, cancel := context.WithTimeout(b.Context(), giveUp)
	defer cancel()
	s, err := w.up(ctx, b.TempDir(), a)
	if err != nil {
		b.Fatalf("%s: %v", w.name, err)
	}
	a.began = time.Now()
	got := measure(s, a)
	if err := a.err(); err != nil {
		b.Errorf("%s: %v", w.name, err)
	}
	if err := s.close(); err != nil {
		b.Errorf("%s: close: %v", w.name, err)
	}
	if testing.Verbose() {
		fmt.Printf("%-10s %+v\n", w.name, got)
	}
	return got
}

// saturate keeps as many messages on their way as may be.
func saturate(s side, a *arrivals) sample {
	begin, used := time.Duration(0), time.Duration(0)
	for n := range int64(saturating) {
		a.room <- struct{}{}
		if n == warmUp {
			begin, used = time.Since(a.began), processTime()
		}
		s.send(n, time.Now())
	}
	a.await(saturating)
	took := time.Duration(slices.Max(times(a.stored))) - begin
	return sample{
		perSecond: float64(saturating-warmUp) / took.Seconds(),
		cpu:       (processTime() - used) / (saturating - warmUp),
	}
}

// trickle sends messages at an even pace.
func trickle(s side, a *arrivals) sample {
	tick := time.NewTicker(time.Second / pace)
	defer tick.Stop()
	intended := make([]time.Duration, paced)
	for n := range int64(paced) {
		<-tick.C
		a.room <- struct{}{}
		intended[n] = time.Since(a.began)
		s.send(n, time.Now())
	}
	a.await(paced)
	took := make([]time.Duration, paced)
	for n := range took {
		took[n] = time.Duration(a.stored[n].Load()) - intended[n]
	}
	slices.Sort(took)
	return sample{p50: took[paced/2]}
}

// await returns when all of n messages are in both stores, or something failed, or it takes too
// long.
func (a *arrivals) await(n int64) {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for begin := time.Now(); a.lake.Load() < n || a.house.Load() < n; <-poll.C {
		if a.err() != nil {
			return
		}
		if time.Since(begin) > giveUp {
			a.fail(fmt.Errorf("of %d messages %d were stored and %d loaded in %s",
				n, a.lake.Load(), a.house.Load(), giveUp))
		}
	}
}

// processTime is the processor time that the process has used.
func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
