package kafka

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestProgress holds progress against its definition: the mark is behind the last offset that has
// no unsettled one before it, and moves only when that changes.
func TestProgress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		offsets := rapid.SliceOfNDistinct(rapid.Int64Range(0, 100), 1, 20, rapid.ID).Draw(t, "offsets")
		slices.Sort(offsets)
		p := newProgress()
		for _, o := range offsets {
			p.begin(o)
		}
		settled := map[int64]bool{}
		var mark int64
		for _, o := range rapid.Permutation(offsets).Draw(t, "settling") {
			settled[o] = true
			var want int64
			for _, before := range offsets {
				if !settled[before] {
					break
				}
				want = before + 1
			}
			moved, open := p.settle(o)
			got, more := p.uncommitted()
			if !open || got != want || moved != (want != mark) || more != (want > 0) {
				t.Fatalf("settled %v: mark %d, want %d, moved %v", settled, got, want, moved)
			}
			mark = want
		}
		p.committed(mark)
		if _, more := p.uncommitted(); more {
			t.Fatal("what was committed is to be committed again")
		}
		p.close()
		if _, open := p.settle(0); open {
			t.Fatal("settled after the end")
		}
	})
}

func TestTopicName(t *testing.T) {
	for channel, want := range map[string]string{
		"events":      "events",
		"events.dead": "events.dead",
		"a/b":         "a.b",
		"방":           "_eb_b0_a9",
		"a b":         "a_20b",
	} {
		if got := TopicName(channel); got != want {
			t.Errorf("%q: %q, want %q", channel, got, want)
		}
	}
}
