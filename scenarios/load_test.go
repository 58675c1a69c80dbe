package scenarios

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestArrivals(t *testing.T) {
	ms := func(all ...int) (out []time.Duration) {
		for _, n := range all {
			out = append(out, time.Duration(n)*time.Millisecond)
		}
		return out
	}
	tests := []struct {
		name        string
		load        FlowLoad
		steady, end time.Duration
		want        []time.Duration
	}{
		{"constant/four a second/evenly spaced", FlowLoad{Rate: 4}, 0, time.Second,
			ms(0, 250, 500, 750)},
		{"constant/zero/none", FlowLoad{}, 0, time.Second, nil},
		{"ramp/two to six in one second/spacing shrinks",
			FlowLoad{Rate: 2, To: 6, Over: time.Second}, 0, time.Second, ms(0, 366, 618, 822)},
		{"ramp/steady first/begins after steady",
			FlowLoad{Rate: 2, To: 4, Over: time.Second}, time.Second, 2 * time.Second, ms(0, 500,
				1000, 1414, 1732)},
		{"burst/rate/only while it lasts",
			FlowLoad{Rate: 1, Bursts: []Burst{{Rate: 4, From: time.Second, For: time.Second}}},
			0, 3 * time.Second, ms(0, 1000, 1250, 1500, 1750, 2000)},
		{"burst/times, repeated/each time",
			FlowLoad{Rate: 1, Bursts: []Burst{{Times: 2, From: 0, For: time.Second,
				Every: 2 * time.Second}}},
			0, 4 * time.Second, ms(0, 500, 1000, 2000, 2500, 3000)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []time.Duration
			for at := range tt.load.Shape(tt.steady, tt.end).Arrivals(nil) {
				got = append(got, at.Truncate(time.Millisecond))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("arrivals (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPoissonKeepsTheRateAndTheSeed(t *testing.T) {
	shape := FlowLoad{Rate: 1000}.Shape(0, 100*time.Second)
	draw := func(seed uint64) []time.Duration {
		return slices.Collect(shape.Arrivals(rand.New(rand.NewPCG(seed, 0))))
	}
	first, again, other := draw(1), draw(1), draw(2)
	if !slices.Equal(first, again) {
		t.Error("the same seed gave other arrivals")
	}
	if slices.Equal(first, other) {
		t.Error("another seed gave the same arrivals")
	}
	// 100,000 expected: the count's deviation is 316, its gaps' coefficient of variation 1.
	if n := len(first); n < 98_000 || n > 102_000 {
		t.Errorf("%d arrivals, expected about 100000", n)
	}
	var sum, squares float64
	for i := 1; i < len(first); i++ {
		gap := (first[i] - first[i-1]).Seconds()
		sum, squares = sum+gap, squares+gap*gap
	}
	n := float64(len(first) - 1)
	if cv := math.Sqrt(squares/n-(sum/n)*(sum/n)) / (sum / n); cv < 0.95 || cv > 1.05 {
		t.Errorf("gaps vary by %.3f of their mean, a Poisson process by 1", cv)
	}
}
