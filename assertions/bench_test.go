package assertions_test

import (
	"iter"
	"runtime"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/history"
)

// stream is a valid history of n messages, one after the other, made as it is read: a journey
// written once and moved. It costs about 30 ns an event of its own.
func stream(n int64) iter.Seq[*history.Event] {
	var journey, found log
	journey.journey("t", 0, 0)
	journey.sorted()
	found.audited("t", 0)
	keys := [7]string{}
	for i := range keys {
		var l log
		l.sent("t", int64(i), 0)
		keys[i] = l[0].Key
	}
	const apart = int64(15 * time.Millisecond)
	return func(yield func(*history.Event) bool) {
		var e history.Event
		move := func(row *history.Event, i, at int64) *history.Event {
			e = *row
			e.At, e.Message, e.Key, e.KeySeq = at, i, keys[i%7], i/7
			e.Trace[1], e.Trace[2], e.Trace[3] = byte(i), byte(i>>8), byte(i>>16)
			return &e
		}
		begin := history.New(history.Phase, 0)
		begin.Step = "steady"
		if !yield(&begin) {
			return
		}
		for i := range n {
			for j := range journey {
				if !yield(move(&journey[j], i, i*apart+journey[j].At)) {
					return
				}
			}
		}
		for i := range n {
			if !yield(move(&found[0], i, n*apart)) {
				return
			}
		}
		end := history.New(history.Ended, n*apart)
		yield(&end)
	}
}

// perMessage is how many events a message of stream has, the found one included.
const perMessage = 15

// BenchmarkJudge judges a million events with the full default set, and says what it keeps.
func BenchmarkJudge(b *testing.B) {
	const n = 70_000
	system := plant()
	checks := implied(system)
	c := assertions.Context{Topology: system, Asked: map[string]int64{"t": n}}
	for b.Loop() {
		for _, v := range assertions.Judge(stream(n), checks, c) {
			if v.Value != assertions.Valid {
				b.Fatalf("%s is %s: %s %s", v.Name, v.Value, v.Summary, v.Unknown)
			}
		}
	}
	b.ReportMetric(float64(n*perMessage)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(kept(n, checks, c), "B/message")
}

// kept is the bytes that ledger and checkers hold at the end of a history, for each message.
func kept(n int64, checks []assertions.Check, c assertions.Context) float64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	ledger := assertions.NewLedger(c.Topology)
	var checkers []assertions.Checker
	for _, check := range checks {
		checkers = append(checkers, check.New(ledger, c))
	}
	for e := range stream(n) {
		ledger.Observe(e)
		for _, checker := range checkers {
			checker.Observe(e)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(checkers)
	return float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
}

func TestMemory(t *testing.T) {
	system := plant()
	const n = 20_000
	got := kept(n, implied(system), assertions.Context{Topology: system})
	if got > 64 {
		t.Errorf("%.1f bytes a message are kept, at most 64 are allowed", got)
	}
}
