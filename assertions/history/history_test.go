package history_test

import (
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/faultline-sim/faultline/assertions/history"
)

func TestRoundTrip(t *testing.T) {
	t.Run("reads what was written/any events in any segments/equal and in order", func(t *testing.T) {
		top := t.TempDir()
		rapid.Check(t, func(t *rapid.T) {
			events := rapid.SliceOfN(arbitrary(), 1, 50).Draw(t, "events")
			parts := rapid.IntRange(1, 4).Draw(t, "segments")
			dir, err := os.MkdirTemp(top, "")
			if err != nil {
				t.Fatal(err)
			}
			for i := range parts {
				seal(t, dir, i+1, slices.Clone(events[i*len(events)/parts:(i+1)*len(events)/parts]))
			}
			slices.SortFunc(events, func(a, b history.Event) int { return a.Compare(&b) })
			_, got := readAll(t, dir)
			same(t, events, got)
			if err := history.Compact(dir); err != nil {
				t.Fatal(err)
			}
			_, got = readAll(t, dir)
			same(t, events, got)
		})
	})
}
