package simulators

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTally(t *testing.T) {
	type seen struct {
		flow   string
		number int64
	}
	repeated := func(s seen, times int) (all []seen) {
		for range times {
			all = append(all, s)
		}
		return all
	}
	cases := map[string]struct {
		seen []seen
		want map[int64]int
	}{
		"count/nothing/empty":       {want: map[int64]int{}},
		"count/other flow/apart":    {seen: []seen{{"a", 1}, {"b", 1}}, want: map[int64]int{1: 1}},
		"count/twice/two":           {seen: []seen{{"a", 1}, {"a", 1}}, want: map[int64]int{1: 2}},
		"count/far numbers/kept":    {seen: []seen{{"a", 0}, {"a", 1 << 40}}, want: map[int64]int{0: 1, 1 << 40: 1}},
		"count/beyond a byte/stops": {seen: repeated(seen{"a", 7}, 300), want: map[int64]int{7: 255}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var tally Tally
			for _, s := range c.seen {
				tally.Add(s.flow, s.number)
			}
			got := map[int64]int{}
			tally.Each("a", func(number int64, copies int) { got[number] = copies })
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("tally (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBorn(t *testing.T) {
	type numbers struct {
		number, keySeq int64
		fresh          bool
	}
	env := &Env{}
	born := func(parent int64, key string) numbers {
		n, k, fresh := env.Born(Birth{Flow: "alert", By: "rule", ParentFlow: "telemetry", Parent: parent}, key)
		return numbers{n, k, fresh}
	}
	got := map[string]numbers{
		"first":        born(10, "hw-1"),
		"other key":    born(11, "hw-2"),
		"same key":     born(12, "hw-1"),
		"first, again": born(10, "hw-1"),
		"no key":       born(13, ""),
	}
	want := maps.Clone(got)
	want["first"] = numbers{0, 0, true}
	want["other key"] = numbers{1, 0, true}
	want["same key"] = numbers{2, 1, true}
	want["first, again"] = numbers{0, 0, false}
	want["no key"] = numbers{3, -1, true}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(numbers{})); diff != "" {
		t.Errorf("births (-want +got):\n%s", diff)
	}
}
