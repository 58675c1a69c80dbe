package assertions

import (
	"math"
	"testing"
)

// TestOdds compares both tails with figures that are counted by hand, and one with a table.
func TestOdds(t *testing.T) {
	cases := []struct {
		name      string
		got, want float64
	}{
		{"fewer/none of two coins/a quarter", fewer(0, 2, 0.5), 0.25},
		{"fewer/at most one of two coins/three quarters", fewer(1, 2, 0.5), 0.75},
		{"fewer/as many as there are/certain", fewer(2, 2, 0.5), 1},
		{"fewer/never anything/certain", fewer(0, 5, 0), 1},
		{"fewer/always everything/never", fewer(4, 5, 1), 0},
		{"worse/none are bad/certain", worse(0, 5, 0, 5), 1},
		{"worse/both bad ones on this side/by counting", worse(2, 2, 0, 2), 1.0 / 6},
		{"worse/the lady who tastes tea, 3 of 4/by Fisher", worse(3, 4, 1, 4), 17.0 / 70},
		{"worse/nothing to compare with/certain", worse(9, 9, 0, 0), 1},
	}
	for _, c := range cases {
		if math.Abs(c.got-c.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
	}
}
