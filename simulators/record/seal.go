package record

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
)

// timed is an event with its time beside it, which spares most comparisons a look at the event.
type timed struct {
	at    int64
	event *history.Event
}

func (t timed) compare(o timed) int {
	if t.at != o.at {
		return cmp.Compare(t.at, o.at)
	}
	return t.event.Compare(o.event)
}

// sealer is the one goroutine that writes: it gathers chunks and seals them as segments.
type sealer struct {
	r       *Recorder
	every   time.Duration
	size    int // events that make a segment
	pending []*chunk
	events  int     // in pending
	order   []timed // of the segment being sealed
	sealed  int     // segments so far
	last    int64   // the latest At sealed so far
	end     bool    // Ended goes behind the events of this segment
}

func newSealer(r *Recorder, o Options) *sealer {
	s := &sealer{r: r, every: o.Every, size: o.Segment, last: math.MinInt64}
	if s.every == 0 {
		s.every = DefaultEvery
	}
	if s.size == 0 {
		s.size = DefaultSegment
	}
	return s
}

// run seals until the recorder is closed, and then what is left.
func (s *sealer) run() error {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		select {
		case c := <-s.r.store.full:
			if s.add(c); s.events >= s.size {
				s.seal()
			}
		case <-tick.C:
			s.collect(false)
			s.seal()
		case <-s.r.flush:
			s.collect(true)
			s.end = s.r.ended
			s.seal()
			return s.finish()
		}
	}
}

func (s *sealer) add(c *chunk) {
	if c != nil {
		s.pending = append(s.pending, c)
		s.events += c.n
	}
}

// collect gathers all that was recorded before now. The chunks in full come after the shards, for
// a shard may have filled one in between.
func (s *sealer) collect(end bool) {
	for i := range s.r.shards {
		s.add(s.r.shards[i].collect(end))
	}
	for {
		select {
		case c := <-s.r.store.full:
			s.add(c)
		default:
			return
		}
	}
}

// seal writes what is pending as one segment and frees its memory. An error is kept; from then on
// events are dropped and counted.
func (s *sealer) seal() {
	if s.r.Err() == nil {
		if err := s.write(); err != nil {
			s.r.broken.set(err)
		}
	}
	if s.r.Err() != nil {
		s.r.shed.Add(int64(s.events))
	}
	for _, c := range s.pending {
		s.r.store.give(c)
	}
	s.pending, s.events = s.pending[:0], 0
}

func (s *sealer) write() error {
	if s.order = s.sort(s.order[:0]); len(s.order) == 0 {
		return nil
	}
	w, err := history.Create(history.SegmentPath(s.r.dir, s.sealed+1))
	if err != nil {
		return err
	}
	defer w.Abort()
	for _, t := range s.order {
		if err := w.Write(t.event); err != nil {
			return err
		}
	}
	if err := w.Seal(); err != nil {
		return err
	}
	s.sealed++
	s.last = max(s.last, s.order[len(s.order)-1].at)
	return nil
}

// sort puts the pending events in order, with what the sealer itself has to say.
func (s *sealer) sort(events []timed) []timed {
	slices.SortFunc(s.pending, func(a, b *chunk) int { return cmp.Compare(a.serial, b.serial) })
	for _, c := range s.pending {
		for i := range c.n {
			e := &c.events[i]
			events = append(events, timed{e.At, e})
		}
	}
	if n := s.r.shed.Swap(0); n > 0 {
		e := history.New(history.Shed, s.r.Now())
		e.Value = n
		events = append(events, timed{e.At, &e})
	}
	if s.r.inOrder {
		slices.SortStableFunc(events, func(a, b timed) int { return cmp.Compare(a.at, b.at) })
	} else {
		slices.SortFunc(events, timed.compare)
	}
	if s.end {
		at := max(s.r.Now(), s.last)
		if len(events) > 0 {
			at = max(at, events[len(events)-1].at)
		}
		e := history.New(history.Ended, at)
		events = append(events, timed{at, &e})
	}
	return events
}

// finish compacts what was sealed, unless the disk already failed.
func (s *sealer) finish() error {
	if err := s.r.Err(); err != nil || s.sealed == 0 {
		return err
	}
	if err := history.Compact(s.r.dir); err != nil {
		s.r.broken.set(err)
	}
	return s.r.Err()
}
