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
	chunk  = 800 // messages of one turn
	atOnce = 400 // messages on their way to the data lake, at most
	pace   = 200 // a second
	giveUp = 60 * time.Second
)

// effort is how often a comparison is made. Two systems brought up from the same file are not
// equally fast: partitions and their leaders fall differently. So there are several of each.
type effort struct {
	systems int // of each way
	rounds  int // with each of them, after one that is not measured
}

var (
	forThroughput = effort{systems: 4, rounds: 4}
	forLatency    = effort{systems: 2, rounds: 4}
	forRecording  = effort{systems: 8, rounds: 2}
)

// way names one of the things that are compared, and brings it up. The folder is its own.
type way struct {
	name string
	up   func(ctx context.Context, dir string, a *arrivals) (side, error)
}

var (
	byHand      = way{"by hand", writeByHand}
	recorded    = overWires("recorded", inMemory)
	nearMemory  = overWires("recorded, near memory", near)
	overSockets = overWires("recorded, sockets", sockets)
	unrecorded  = way{"unrecorded", func(ctx context.Context, _ string, a *arrivals) (side, error) {
		return simulate(ctx, record.Off(), inMemory, a)
	}}
)

// overWires is the simulated flow with its history.
func overWires(name string, over wires) way {
	return way{name, func(ctx context.Context, dir string, a *arrivals) (side, error) {
		r, err := record.New(dir)
		if err != nil {
			return nil, err
		}
		return simulate(ctx, r, over, a)
	}}
}

// sample is what one chunk of one side gave.
type sample struct {
	perSecond float64       // messages into the data lake
	cpu       time.Duration // of the whole process, a message
	p50       time.Duration // from intended to in the data lake
}

// BenchmarkTelemetry holds the telemetry flow as simulated, recorded and proxied against the same
// flow written by hand: how many messages a second pass when there are always enough of them.
func BenchmarkTelemetry(b *testing.B) {
	for b.Loop() {
		got := alternate(b, saturate, forThroughput, byHand, recorded, nearMemory, overSockets)
		hand, ours := got[0], got[1]
		b.ReportMetric(medianOf(hand, rate), "hand-msg/s")
		b.ReportMetric(medianOf(ours, rate), "faultline-msg/s")
		b.ReportMetric(medianRatio(ours, hand, rate), "throughput-ratio")
		b.ReportMetric(medianRatio(hand, ours, cpu), "cpu-ratio")
		b.ReportMetric(medianRatio(got[2], hand, rate), "near-ratio")
		b.ReportMetric(medianRatio(got[3], hand, rate), "sockets-ratio")
	}
}

// BenchmarkTelemetryPaced compares the median latency of 200 messages a second.
func BenchmarkTelemetryPaced(b *testing.B) {
	for b.Loop() {
		got := alternate(b, trickle, forLatency, byHand, recorded)
		hand, ours := medianOf(got[0], p50), medianOf(got[1], p50)
		b.ReportMetric(hand/1e6, "hand-p50-ms")
		b.ReportMetric(ours/1e6, "faultline-p50-ms")
		b.ReportMetric((ours-hand)/1e6, "p50-more-ms")
	}
}

// BenchmarkRecording compares the simulated flow with and without its history.
func BenchmarkRecording(b *testing.B) {
	for b.Loop() {
		got := alternate(b, saturate, forRecording, unrecorded, recorded)
		b.ReportMetric(100*(medianRatio(got[0], got[1], rate)-1), "slower-%")
		b.ReportMetric(100*(medianRatio(got[1], got[0], cpu)-1), "cpu-more-%")
	}
}

func rate(s sample) float64 { return s.perSecond }
func cpu(s sample) float64  { return float64(s.cpu) }
func p50(s sample) float64  { return float64(s.p50) }

// turn is what a side does when it is its turn.
type turn func(side, *arrivals) sample

// alternate brings both ways up and lets them work in turns, so that a machine that is busier for
// a while is so for both. Who comes first changes from round to round; the first only warms up.
// A turn ends when nothing of it is left to do.
func alternate(b *testing.B, do turn, e effort, ways ...way) [][]sample {
	got := make([][]sample, len(ways))
	for range e.systems {
		systems := make([]*system, len(ways))
		for i, w := range ways {
			systems[i] = bring(b, w)
		}
		for round := range e.rounds + 1 {
			for i := range ways {
				at := (i + round) % len(ways)
				one := systems[at].take(b, do)
				if round > 0 {
					got[at] = append(got[at], one)
				}
			}
		}
		for _, s := range systems {
			s.end(b)
		}
	}
	return got
}

// system is one way, up.
type system struct {
	way      way
	side     side
	arrivals *arrivals
}

func bring(b testing.TB, w way) *system {
	ctx, cancel := context.WithTimeout(b.Context(), giveUp)
	defer cancel()
	a := newArrivals(10*chunk, atOnce)
	s, err := w.up(ctx, b.TempDir(), a)
	if err != nil {
		b.Fatalf("%s: %v", w.name, err)
	}
	return &system{w, s, a}
}

func (s *system) take(b testing.TB, do turn) sample {
	got := do(s.side, s.arrivals)
	if err := s.arrivals.err(); err != nil {
		b.Fatalf("%s: %v", s.way.name, err)
	}
	return got
}

func (s *system) end(b testing.TB) {
	if err := s.side.close(); err != nil {
		b.Errorf("%s: close: %v", s.way.name, err)
	}
}

// TestEveryMessageArrives keeps the two ways comparable: a side that lost messages would be fast.
func TestEveryMessageArrives(t *testing.T) {
	for _, w := range []way{byHand, recorded, nearMemory, overSockets, unrecorded} {
		t.Run(w.name, func(t *testing.T) {
			s := bring(t, w)
			defer s.end(t)
			s.take(t, func(side side, a *arrivals) (none sample) {
				for range 50 {
					a.room <- struct{}{}
					side.send(a.sent, time.Now())
					a.sent++
				}
				a.await(a.sent)
				return none
			})
			got := [2]int64{s.arrivals.lake.Load(), s.arrivals.house.Load()}
			if got != [2]int64{50, 50} {
				t.Errorf("of 50 messages %d are in the lake and %d in the warehouse", got[0], got[1])
			}
		})
	}
}

// saturate keeps as many messages on their way as may be.
func saturate(s side, a *arrivals) sample {
	first, begin, used := a.sent, time.Since(a.began), processTime()
	for range chunk {
		a.room <- struct{}{}
		s.send(a.sent, time.Now())
		a.sent++
	}
	a.await(a.sent)
	took := time.Duration(slices.Max(times(a.stored[first:a.sent]))) - begin
	return sample{
		perSecond: chunk / took.Seconds(),
		cpu:       (processTime() - used) / chunk,
	}
}

// trickle sends messages at an even pace for a second.
func trickle(s side, a *arrivals) sample {
	tick := time.NewTicker(time.Second / pace)
	defer tick.Stop()
	first := a.sent
	took := make([]time.Duration, pace)
	for i := range took {
		now := <-tick.C
		a.room <- struct{}{}
		took[i] = -now.Sub(a.began)
		s.send(a.sent, now)
		a.sent++
	}
	a.await(a.sent)
	for i := range took {
		took[i] += time.Duration(a.stored[first+int64(i)].Load())
	}
	slices.Sort(took)
	return sample{p50: took[pace/2]}
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
