package scenarios

import (
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Shape is the rate of arrivals over time as straight pieces, a pure function of elapsed time: the
// n-th arrival is where the area under it reaches n. There are none behind the last piece.
type Shape struct {
	pieces []piece
}

// piece is a span in which the rate goes from one value to another in a straight line.
type piece struct {
	from, to float64 // arrivals per second
	seconds  float64
}

func (p piece) area() float64 { return (p.from + p.to) / 2 * p.seconds }

// area is how many arrivals there are, as a mean where they are drawn.
func (s Shape) area() (sum float64) {
	for _, p := range s.pieces {
		sum += p.area()
	}
	return sum
}

// reach is the time within the piece at which its area is n.
func (p piece) reach(n float64) float64 {
	if p.from == p.to {
		return n / p.from
	}
	slope := (p.to - p.from) / p.seconds
	return (math.Sqrt(max(0, p.from*p.from+2*slope*n)) - p.from) / slope
}

// Shape is the load's rate over time, counted from the beginning of the steady phase, for a run
// whose load lasts until end.
func (l FlowLoad) Shape(steady, end time.Duration) Shape {
	marks := []time.Duration{0, steady, end}
	if l.Over > 0 {
		marks = append(marks, steady+l.Over)
	}
	for _, b := range l.Bursts {
		for from := steady + b.From; from < end; from += b.Every {
			marks = append(marks, from, from+b.For)
			if b.Every <= 0 {
				break
			}
		}
	}
	slices.Sort(marks)
	marks = slices.Compact(marks)
	var s Shape
	for i, at := range marks {
		if at >= end {
			break
		}
		next := min(marks[i+1], end)
		s.pieces = append(s.pieces, piece{
			from:    l.rate(at, steady),
			to:      l.rate(next-1, steady),
			seconds: (next - at).Seconds(),
		})
	}
	return s
}

// rate is arrivals per second at a time counted from the beginning of steady.
func (l FlowLoad) rate(at, steady time.Duration) float64 {
	base := l.Rate
	if l.Over > 0 && at > steady {
		base += (l.To - l.Rate) * min(1, (at-steady).Seconds()/l.Over.Seconds())
	}
	for _, b := range l.Bursts {
		since := at - steady - b.From
		if since < 0 {
			continue
		}
		if b.Every > 0 {
			since %= b.Every
		}
		if since >= b.For {
			continue
		}
		if b.Rate > 0 {
			return b.Rate
		}
		return base * b.Times
	}
	return base
}

// Arrivals are the times of all arrivals in order. A nil generator spaces them evenly under the
// shape; with one they are a Poisson process of the same rate.
func (s Shape) Arrivals(draw *rand.Rand) iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		start, done, target := 0.0, 0.0, 0.0
		if draw != nil {
			target = draw.ExpFloat64()
		}
		for _, p := range s.pieces {
			for area := p.area(); target < done+area; {
				at := start + p.reach(target-done)
				if !yield(time.Duration(at * float64(time.Second))) {
					return
				}
				if draw == nil {
					target++
				} else {
					target += draw.ExpFloat64()
				}
			}
			start, done = start+p.seconds, done+p.area()
		}
	}
}
