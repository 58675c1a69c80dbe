package assertions

import "math"

// unlikely is how small a probability must be before what is random in a sound system (how many
// messages are born of others, where a retry falls within its jitter) is held against it: a thousand
// runs with a hundred such comparisons each give a false alarm in one of ten.
const unlikely = 1e-6

// improbable is the same for what does not happen by chance in most systems: a share of messages
// that fail or are late, in a window and in a steady state of a few messages.
const improbable = 1e-4

// fewer is the probability of at most k successes among n, each with probability p.
func fewer(k, n int, p float64) float64 {
	switch {
	case k >= n || p <= 0:
		return 1
	case p >= 1:
		return 0
	}
	sum := 0.0
	for i := 0; i <= k; i++ {
		sum += math.Exp(choose(n, i) + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	}
	return min(1, sum)
}

// worse is the probability that of bad ones among n+others at least these many fall among the n, if
// it makes no difference where they fall: Fisher's exact test, on one side.
func worse(bad, n, otherBad, others int) float64 {
	all := choose(n+others, bad+otherBad)
	sum := 0.0
	for i := bad; i <= min(n, bad+otherBad); i++ {
		if bad+otherBad-i <= others {
			sum += math.Exp(choose(n, i) + choose(others, bad+otherBad-i) - all)
		}
	}
	return min(1, sum)
}

// choose is the logarithm of n over k.
func choose(n, k int) float64 {
	return logFactorial(n) - logFactorial(k) - logFactorial(n-k)
}

func logFactorial(n int) float64 {
	v, _ := math.Lgamma(float64(n) + 1)
	return v
}
