package policy

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPause(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name        string
		backoff     Backoff
		n           int
		least, most time.Duration
	}{
		{"backoff/zero/no pause", Backoff{}, 3, 0, 0},
		{"backoff/first/initial", Backoff{Initial: 50 * ms, Factor: 2}, 1, 50 * ms, 50 * ms},
		{"backoff/third/grown", Backoff{Initial: 50 * ms, Factor: 2}, 3, 200 * ms, 200 * ms},
		{"backoff/no factor/constant", Backoff{Initial: 50 * ms}, 9, 50 * ms, 50 * ms},
		{"backoff/bounded/at most max",
			Backoff{Initial: 50 * ms, Factor: 2, Max: 70 * ms}, 4, 70 * ms, 70 * ms},
		{"backoff/first above max/max", Backoff{Initial: 90 * ms, Max: 70 * ms}, 1, 70 * ms, 70 * ms},
		{"backoff/jitter/spread both ways",
			Backoff{Initial: 100 * ms, Factor: 1, Jitter: 0.2}, 2, 80 * ms, 120 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if least, most := tt.backoff.Pause(tt.n); least != tt.least || most != tt.most {
				t.Errorf("pause %d is %v to %v, want %v to %v", tt.n, least, most, tt.least, tt.most)
			}
		})
	}
}

func TestPauseNeverShrinks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Backoff{
			Initial: time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "initial")),
			Factor:  rapid.Float64Range(1, 10).Draw(t, "factor"),
			Max:     time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "max")),
			Jitter:  rapid.Float64Range(0, 1).Draw(t, "jitter"),
		}
		var before time.Duration
		for n := 1; n < 60; n++ {
			least, most := b.Pause(n)
			if least < 0 || least > most || most < before || least > b.Max {
				t.Fatalf("pause %d is %v to %v after %v", n, least, most, before)
			}
			before = most
		}
	})
}
