package main

import (
	"slices"
	"sync/atomic"
)

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
}

func medianOf(all []sample, value func(sample) float64) float64 {
	values := make([]float64, len(all))
	for i, s := range all {
		values[i] = value(s)
	}
	return median(values)
}

// medianRatio is the median of what neighbours in time are to each other.
func medianRatio(over, under []sample, value func(sample) float64) float64 {
	ratios := make([]float64, len(over))
	for i := range over {
		ratios[i] = value(over[i]) / value(under[i])
	}
	return median(ratios)
}

func times(all []atomic.Int64) []int64 {
	values := make([]int64, len(all))
	for i := range all {
		values[i] = all[i].Load()
	}
	return values
}
