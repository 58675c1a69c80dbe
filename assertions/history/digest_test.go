package history_test

import (
	"slices"
	"testing"

	"github.com/faultline-sim/faultline/assertions/history"
)

func opened(t *testing.T, events []history.Event) *history.Reader {
	t.Helper()
	dir := t.TempDir()
	seal(t, dir, 1, events)
	r, err := history.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func digestOf(t *testing.T, r *history.Reader) string {
	t.Helper()
	d, err := r.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDigest(t *testing.T) {
	events := telemetry(30, 1000)
	for i := range events {
		events[i].At -= events[i].At % 1_000_000 // so that many are of one instant
	}
	turned := slices.Clone(events)
	slices.Reverse(turned)
	changed := slices.Clone(events)
	changed[7].Value++
	plain := opened(t, events)
	t.Run("digest/one instant in another order/the same", func(t *testing.T) {
		other := opened(t, turned)
		if digestOf(t, plain) != digestOf(t, other) {
			t.Error("the digests differ")
		}
		if a, b, differ, err := history.FirstDifference(plain, other); differ || err != nil {
			t.Errorf("they differ in %v and %v: %v", a, b, err)
		}
	})
	t.Run("digest/one value changed/another, and its place is found", func(t *testing.T) {
		other := opened(t, changed)
		if digestOf(t, plain) == digestOf(t, other) {
			t.Error("the digests are the same")
		}
		a, b, differ, err := history.FirstDifference(plain, other)
		if err != nil || !differ || a == nil || b == nil || a.At != changed[7].At {
			t.Errorf("found %v and %v, %v: %v", a, b, differ, err)
		}
	})
	t.Run("digest/one event missing/the first that is too many", func(t *testing.T) {
		last := len(events) - 1
		other := opened(t, slices.Clone(events[:last]))
		a, b, differ, err := history.FirstDifference(plain, other)
		if err != nil || !differ || a == nil || b != nil && *a == *b {
			t.Errorf("found %v and %v, %v: %v", a, b, differ, err)
		}
	})
}
