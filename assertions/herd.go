package assertions

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// herds looks for retries, or reconnects, of many callers that fall into the same instants.
//
// Definition: a cohort are the callers (messages, batches, members of a fleet) that failed within one
// instant, 10 ms, at the same place and for the n-th time, and that tried again no later than 10 ms
// after the longest declared pause: who waited longer waited for something else. It counts when it has
// at least 10 callers and is a burst: at least 5 times what failed in an instant on average, half a
// second to each side. It is a herd when at least 10 of the callers try again within one instant, and
//
//   - where the backoff declares a jitter, so that pauses are spread over a range: the instant is a
//     tenth of that range, 1 ms to 10 ms, and pauses that are spread evenly over the range would put
//     as many callers into any one instant at most once in a million times (the chance that of all
//     others so many fall into the instant that one of them begins, times how many there are);
//   - where it declares a pause without jitter: they are at least 20, and half of the cohort.
//
// Where tries follow at once, or their range is below 2 ms, nothing can be told. A cohort whose tries
// were made while the harness stood still for longer than an instant is left out. The first 2^18
// retries of a place are looked at. Source: Brooker, Exponential Backoff and Jitter.
type herds struct {
	tries map[herdKey][]again
	n     int
}

// herdKey is one place and number of a try, and the pause that is declared before it.
type herdKey struct {
	step        string
	attempt     int32
	least, most time.Duration
}

// caller is who tries again: a message; a member of a fleet, by its replica; or a replica with a batch
// of messages, which has one try that began at one time and a row for each of them.
type caller struct {
	subject
	replica int32
	start   int64
}

// again is one caller that tried again: when it had failed, and when it began the next try.
type again struct {
	caller
	about         subject // a message of it
	failed, began int64
}

// herd is a cohort that tried again together.
type herd struct {
	key     herdKey
	start   int64
	anomaly Anomaly
}

const (
	instant       = 10 * time.Millisecond
	leastHerd     = 10
	leastUnspread = 20 // where no jitter is declared
	burstTimes    = 5
	aroundBurst   = time.Second
	unspread      = 2 * time.Millisecond
	mostTried     = 1 << 18
)

func newHerds() herds { return herds{tries: map[herdKey][]again{}} }

func (h *herds) add(k herdKey, a again) {
	if h.n < mostTried && time.Duration(a.began-a.failed) <= k.most+instant {
		h.tries[k] = append(h.tries[k], a)
		h.n++
	}
}

// find gives the herds, by time.
func (h *herds) find(l *Ledger) (found []herd) {
	for k := range maps.Keys(h.tries) {
		for _, cohort := range cohorts(h.tries[k]) {
			if a, ok := k.together(cohort, l); ok {
				found = append(found, herd{k, cohort[0].began, a})
			}
		}
	}
	slices.SortFunc(found, func(a, b herd) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.key.step, b.key.step),
			cmp.Compare(a.key.attempt, b.key.attempt))
	})
	return found
}

// cohorts are the bursts of failures among tries of one place, each caller once.
func cohorts(all []again) (bursts [][]again) {
	slices.SortFunc(all, func(a, b again) int {
		return cmp.Or(cmp.Compare(a.failed, b.failed), cmp.Compare(a.began, b.began))
	})
	near := func(from int, at int64) int {
		i, _ := slices.BinarySearchFunc(all[from:], at, func(a again, at int64) int {
			return cmp.Compare(a.failed, at)
		})
		return from + i
	}
	for from := 0; from < len(all); {
		first := all[from].failed
		to := near(from, first+int64(instant))
		around := near(0, first+int64(aroundBurst/2)) - near(0, first-int64(aroundBurst/2))
		cohort := callers(all[from:to])
		if len(cohort) >= leastHerd &&
			len(cohort)*int(aroundBurst/instant) >= burstTimes*around {
			bursts = append(bursts, cohort)
		}
		from = to
	}
	return bursts
}

// callers are the tries by when they began, the first one of each caller.
func callers(tries []again) (cohort []again) {
	seen := map[caller]bool{}
	for _, a := range tries {
		if !seen[a.caller] {
			seen[a.caller] = true
			cohort = append(cohort, a)
		}
	}
	slices.SortFunc(cohort, func(a, b again) int { return cmp.Compare(a.began, b.began) })
	return cohort
}

// together says whether a cohort tried again in one instant.
func (k herdKey) together(cohort []again, l *Ledger) (Anomaly, bool) {
	spread := k.most - k.least
	width := instant
	if spread > 0 {
		width = min(instant, max(time.Millisecond, spread/10))
	}
	first, most := crowded(cohort, int64(width))
	if most < leastHerd || !k.tooMany(most, len(cohort), width) {
		return Anomaly{}, false
	}
	at := cohort[first]
	last := cohort[first+most-1].began
	if time.Duration(l.stood(Window{time.Duration(at.began), time.Duration(last) + 1})) > instant {
		return Anomaly{}, false
	}
	return Anomaly{Kind: "herd", Flow: at.about.flow, Message: at.about.message, Text: fmt.Sprintf(
		"%d of %d callers that failed together at %v tried again (%d) within %v at %v, "+
			"declared pause %v to %v", most, len(cohort), seconds(at.failed), k.attempt,
		time.Duration(last-at.began).Round(time.Millisecond/10), seconds(at.began), k.least, k.most)}, true
}

// tooMany says whether so many of a cohort in one instant are more than the declared jitter explains.
func (k herdKey) tooMany(most, cohort int, width time.Duration) bool {
	spread := k.most - k.least
	switch {
	case k.most == 0 || spread > 0 && spread < unspread:
		return false
	case spread == 0:
		return most >= leastUnspread && 2*most >= cohort
	}
	share := float64(width) / float64(spread)
	return float64(cohort)*fewer(cohort-most, cohort-1, 1-share) < unlikely
}

// crowded is the instant with the most tries: the first of them and how many they are.
func crowded(cohort []again, width int64) (first, most int) {
	from := 0
	for to := range cohort {
		for cohort[to].began-cohort[from].began >= width {
			from++
		}
		if to-from+1 > most {
			first, most = from, to-from+1
		}
	}
	return first, most
}
