package kinesis

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var allowed = regexp.MustCompile(`^[a-zA-Z0-9_.-]+$`)

func TestStreamName(t *testing.T) {
	for channel, want := range map[string]string{
		"events":        "events",
		"a/b":           "a.b",
		"a.b":           "a_2eb",
		"device_events": "device__events",
		"é%":            "_c3_a9_25",
	} {
		if got := StreamName(channel); got != want {
			t.Errorf("%q is %q, want %q", channel, got, want)
		}
	}
	if got := TableName("a/b", "service.worker"); got != "a.b_.service_2eworker" {
		t.Errorf("table %q", got)
	}
}

// TestNamesDiffer wants names that are allowed, and different for different channels and groups.
func TestNamesDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringOfN(rapid.RuneFrom([]rune("ab/._-%2eé")), 1, 12, -1)
		long := rapid.Custom(func(t *rapid.T) string {
			more := rapid.SampledFrom([]int{0, 130}).Draw(t, "more")
			return name.Draw(t, "name") + strings.Repeat("x", more)
		})
		a, b, g, h := long.Draw(t, "a"), long.Draw(t, "b"), long.Draw(t, "g"), long.Draw(t, "h")
		if s := StreamName(a); !allowed.MatchString(s) || len(s) > 128 {
			t.Fatalf("stream %q", s)
		}
		if a != b && StreamName(a) == StreamName(b) {
			t.Fatalf("%q and %q are both %q", a, b, StreamName(a))
		}
		table := TableName(a, g)
		if !allowed.MatchString(table) || len(table) < 3 || len(table) > 255 {
			t.Fatalf("table %q", table)
		}
		if (a != b || g != h) && table == TableName(b, h) {
			t.Fatalf("%q of %q and %q of %q are both %q", g, a, h, b, table)
		}
	})
}
