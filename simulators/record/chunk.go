package record

import (
	"sync"
	"sync/atomic"

	"github.com/faultline-sim/faultline/assertions/history"
)

// chunkEvents is how many events go to the sealing goroutine at once: 120 KB.
const chunkEvents = 512

type chunk struct {
	n      int
	serial int64 // chunks that one shard fills have rising ones
	events [chunkEvents]history.Event
}

// chunks is the recorder's memory: each chunk is in a shard, in full, with the sealer or free, and
// as both channels have room for all of them, no one ever waits to hand one over.
type chunks struct {
	full  chan *chunk
	free  chan *chunk
	limit int64
	made  atomic.Int64
	taken atomic.Int64
}

func newChunks(events int) *chunks {
	n := max((events+chunkEvents-1)/chunkEvents, 1)
	return &chunks{full: make(chan *chunk, n), free: make(chan *chunk, n), limit: int64(n)}
}

// take is an empty chunk, or nil when all the memory is in use.
func (c *chunks) take() *chunk {
	select {
	case empty := <-c.free:
		empty.serial = c.taken.Add(1)
		return empty
	default:
	}
	if c.made.Add(1) > c.limit {
		c.made.Add(-1)
		return nil
	}
	return &chunk{serial: c.taken.Add(1)}
}

// give takes an empty chunk back.
func (c *chunks) give(used *chunk) {
	used.n = 0
	c.free <- used
}

// shard is one of several places where events are put, so that recording goroutines seldom meet.
type shard struct {
	mu     sync.Mutex
	filled *chunk // nil when there is none yet
	ended  bool
	_      [40]byte // a cache line of its own
}

type putResult int

const (
	kept putResult = iota
	dropped
	afterEnd
)

// put copies an event in, and passes a chunk on that it filled.
func (s *shard) put(e *history.Event, store *chunks) putResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return afterEnd
	}
	if s.filled == nil {
		if s.filled = store.take(); s.filled == nil {
			return dropped
		}
	}
	c := s.filled
	c.events[c.n] = *e
	c.n++
	if c.n == chunkEvents {
		s.filled = nil
		store.full <- c // has room for every chunk there is
	}
	return kept
}

// collect takes out what is there; end lets nothing more in.
func (s *shard) collect(end bool) *chunk {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.filled
	s.filled = nil
	s.ended = s.ended || end
	return c
}
