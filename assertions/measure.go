package assertions

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// sample is one leg of one flow over the messages sent in a window.
type sample struct {
	leg       leg
	offered   int // begun, and not rightly ended on the way
	completed int
	late      int      // completed after the SLO's p99
	slow      int      // completed after the SLO's p50
	timed     []uint32 // µs from the send, or the birth, to the arrival, sorted
	whole     []uint32 // µs from when the message was due to the arrival, sorted
	first     int64    // the first message that did not complete, −1 for none
	lives     []Window // of those that did not complete: from sent to their last event
	firstLate int64    // the first that was late, −1 for none
	mute      int      // did not complete, and their producers were told nothing
}

// measure takes one leg over the messages that were due in a window: meant to be sent in it, or born
// of one that was.
func (f *flowLedger) measure(j int, w Window) sample {
	s, _ := f.sample(j, func(due int64, _ *row, _ legRow) bool { return w.has(due) })
	return s
}

// sample takes one leg over the messages that count by when they were due, and says how many do not.
func (f *flowLedger) sample(j int, counts func(due int64, m *row, lr legRow) bool) (s sample, aside int) {
	s = sample{leg: f.route.legs[j], first: -1, firstLate: -1}
	for i := range f.size {
		m := f.rows.get(i)
		if m.flags&begun == 0 {
			continue
		}
		lr := f.legRows[j].get(i)
		due := f.due(i, &m)
		if !counts(due, &m, lr) {
			aside++
			continue
		}
		if lr.state&(arrived|foundThere) == 0 && lr.state&legFiltered != 0 {
			continue
		}
		s.add(i, &m, lr)
		if f.derivedFrom() != "" && lr.state&arrived != 0 {
			s.whole = append(s.whole, lr.after+micros(m.sent-due))
		}
	}
	slices.Sort(s.timed)
	slices.Sort(s.whole)
	if s.whole == nil {
		s.whole = s.timed
	}
	return s, aside
}

func (s *sample) add(i int64, m *row, lr legRow) {
	s.offered++
	if lr.state&(arrived|foundThere) == 0 {
		s.lives = append(s.lives, Window{time.Duration(m.sent),
			time.Duration(m.sent) + time.Duration(m.last)*time.Microsecond})
		if s.first < 0 {
			s.first = i
		}
		s.mute += one(m.flags&toldFail == 0)
		return
	}
	s.completed++
	if lr.state&arrived == 0 {
		return
	}
	s.timed = append(s.timed, lr.after)
	after := int64(lr.after) * 1000
	if s.leg.p50 > 0 && after > s.leg.p50 {
		s.slow++
	}
	if s.leg.p99 > 0 && after > s.leg.p99 {
		s.late++
		if s.firstLate < 0 {
			s.firstLate = i
		}
	}
}

// share is completed ÷ offered, 1 when nothing was offered.
func (s *sample) share() float64 {
	if s.offered == 0 {
		return 1
	}
	return float64(s.completed) / float64(s.offered)
}

// quantile of the latencies, by the nearest rank; 0 when there are none.
func (s *sample) quantile(q float64) time.Duration { return quantile(s.timed, q) }

func quantile(sorted []uint32, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(q*float64(len(sorted)))) - 1
	return time.Duration(sorted[max(0, rank)]) * time.Microsecond
}

// slower is what a flow may take by its own steady state, of which this is the sample: so many times
// its p99 and one second more, counted from when a message was due; 0 where nothing arrived.
func (s *sample) slower(times float64) time.Duration {
	if len(s.whole) == 0 {
		return 0
	}
	return time.Duration(times*float64(quantile(s.whole, 0.99))) + slowerAnyway
}

// breach is one way in which an SLO is broken.
type breach struct {
	kind    string // "failed" or "late"
	message int64
	text    string
	latency bool
	excess  time.Duration // of a latency over its bound
	lives   []Window      // of messages that failed
	granted int           // how many of them break nothing
}

// breaches are the ways in which the leg's declared SLO is broken in the sample, and what would be
// needed to judge the rest. An objective that grants a share 1−s of exceptions is broken by more
// exceptions than that share of what there is, and always by more than one; it is kept only on at
// least 1/(1−s) messages. A p99 (p50) grants 1 % (half) of the completed to be later; below 100
// messages it is kept when none of at least 20 is.
func (s *sample) breaches() (broken []breach, lacks []string) {
	for _, o := range s.objectives() {
		switch {
		case o.share > 0 && o.latency && o.of == 0 && s.completed > 0:
			lacks = append(lacks, fmt.Sprintf("times of arrival at %s to judge %s on",
				s.leg.name(), o.name))
		case o.share <= 0 || o.of == 0:
		case exceeds(o.share, o.exceptions, o.of):
			broken = append(broken, o.breach)
		case o.latency && o.exceptions == 0 && o.of >= leastCompared:
		case o.of < leastMessages(o.share):
			lacks = append(lacks, fmt.Sprintf("%d messages to %s to judge %s on, there were %d",
				leastMessages(o.share), s.leg.name(), o.name, o.of))
		}
	}
	return broken, lacks
}

// leastCompared is how many messages it takes to compare shares and latencies at all.
const leastCompared = 20

// objective is one part of an SLO: a share of so many that may not be exceptions.
type objective struct {
	name           string
	share          float64 // 0 is not declared
	exceptions, of int
	breach
}

func (s *sample) objectives() []objective {
	failed := s.offered - s.completed
	return []objective{
		{fmt.Sprintf("%.4g %%", s.leg.success*100), s.leg.success, failed, s.offered,
			breach{kind: "failed", message: s.first, lives: s.lives,
				granted: granted(s.leg.success, s.offered),
				text: fmt.Sprintf("%d of %d did not reach %s, promised %.4g %%",
					failed, s.offered, s.leg.name(), s.leg.success*100)}},
		s.latency("p99", 0.99, s.late, s.leg.p99),
		s.latency("p50", 0.5, s.slow, s.leg.p50),
	}
}

func (s *sample) latency(name string, q float64, over int, bound int64) objective {
	o := objective{name: "a " + name, share: q, exceptions: over, of: len(s.timed)}
	if bound == 0 {
		o.share = 0
	}
	if s.leg.reply && s.mute > 0 && bound > 0 {
		o.exceptions, o.of = over+s.mute, s.completed+s.mute
		o.breach = breach{kind: "failed", message: s.first, lives: s.lives,
			granted: granted(q, o.of),
			text: fmt.Sprintf("%d of %d had no answer, promised within %v", s.mute, s.offered,
				time.Duration(bound))}
		return o
	}
	o.breach = breach{kind: "late", message: s.firstLate, latency: true,
		excess: s.quantile(q) - time.Duration(bound),
		text: fmt.Sprintf("%s to %s was %v, promised %v", name, s.leg.name(), s.quantile(q),
			time.Duration(bound))}
	return o
}

// exceeds says whether exceptions among so many break an objective for a share.
func exceeds(share float64, exceptions, of int) bool { return exceptions > granted(share, of) }

// granted is how many exceptions among so many an objective for a share allows.
func granted(share float64, of int) int {
	n := int((1-share)*float64(of) + 1e-9)
	if of < leastMessages(share) {
		return max(n, 1)
	}
	return n
}

// leastMessages is how many it takes to see one exception that an objective grants.
func leastMessages(share float64) int {
	if share >= 1 {
		return 1
	}
	return int(math.Ceil(1/(1-share) - 1e-6))
}
