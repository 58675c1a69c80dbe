package diagnose

import "time"

// stalls tells what was slow because the harness itself stood still from what was slow by itself.
// The harness's delay is read after it has passed, so what is in doubt waits for the next reading.
type stalls struct {
	readings []reading
	waiting  []doubtful
}

// reading is one measurement of the harness's own delay.
type reading struct{ at, delay int64 }

// doubtful is an operation that took too long, or ran into its timeout.
type doubtful struct {
	sign     *sign
	from, at int64
	reason   string // "" when it went well, but slowly
}

const (
	// lookAhead is how long after an operation its delay is known for sure.
	lookAhead = 300 * time.Millisecond
	// lookBack is how long before an operation a delay may have made the queue it stood in.
	lookBack = 500 * time.Millisecond
	// noDelay is what a scheduler's ordinary business takes.
	noDelay = 20 * time.Millisecond
	// queueGrowth is how many times its length a delay may cost those who queue behind it.
	queueGrowth = 2
)

func (st *stalls) read(at, delay int64) {
	if delay > int64(noDelay) {
		st.readings = append(st.readings, reading{at, delay})
	}
	st.settle(at)
}

func (st *stalls) hold(d doubtful) { st.waiting = append(st.waiting, d) }

// settle books all that is old enough for its delays to be known.
func (st *stalls) settle(now int64) {
	still := st.waiting[:0]
	for _, d := range st.waiting {
		if now <= d.at+int64(lookAhead) {
			still = append(still, d)
			continue
		}
		own := time.Duration(d.at-d.from) - queueGrowth*st.during(d.from, d.at)
		switch {
		case d.reason != "" && own > time.Duration(d.at-d.from)/2:
			d.sign.trouble(d.from, d.at, d.reason)
		case d.reason == "" && own > d.sign.limit():
			d.sign.late(d.from, d.at)
		}
	}
	st.waiting = still
}

// during is how long the harness stood still in and shortly before a span, in all.
func (st *stalls) during(from, to int64) (sum time.Duration) {
	for i := len(st.readings) - 1; i >= 0; i-- {
		r := st.readings[i]
		if r.at < from-int64(lookBack) {
			break
		}
		if r.at-r.delay <= to {
			sum += time.Duration(r.delay)
		}
	}
	return sum
}
