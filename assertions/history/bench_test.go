package history_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/faultline-sim/faultline/assertions/history"
)

func size(t testing.TB, dir string) (bytes int64) {
	t.Helper()
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// BenchmarkWrite writes segments of a second each.
func BenchmarkWrite(b *testing.B) {
	events := telemetry(5_000, 5_000)
	b.ReportAllocs()
	dir := b.TempDir()
	n := 0
	for b.Loop() {
		seal(b, dir, 1, events)
		n += len(events)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
	b.ReportMetric(float64(size(b, dir))/float64(len(events)), "B/event")
}

// BenchmarkCompact makes one file of ten segments.
func BenchmarkCompact(b *testing.B) {
	events := telemetry(50_000, 5_000)
	n := 0
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		for i := range 10 {
			seal(b, dir, i+1, events[i*len(events)/10:(i+1)*len(events)/10])
		}
		b.StartTimer()
		if err := history.Compact(dir); err != nil {
			b.Fatal(err)
		}
		n += len(events)
		b.ReportMetric(float64(size(b, dir))/float64(len(events)), "B/event")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
}

// BenchmarkRead opens and reads a compacted history.
func BenchmarkRead(b *testing.B) {
	events := telemetry(50_000, 5_000)
	dir := b.TempDir()
	seal(b, dir, 1, events)
	if err := history.Compact(dir); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	n, sum := 0, int64(0)
	for b.Loop() {
		r, err := history.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		for e := range r.Events {
			sum += e.Duration
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Mevents/s")
}
