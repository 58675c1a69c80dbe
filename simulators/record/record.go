// Package record is the recorder: events in, sealed Parquet segments out.
//
// It stands in the run step of load → plan → run → check → report. It promises never to block the
// load: events it cannot keep are counted in a shed event, which makes verdicts unknown. What it
// keeps is on disk within about a second, so a killed run loses no more than that, and its memory
// is bounded (Options.Limit). It imports the history and nothing of the other rooms.
package record

import (
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
)

// Defaults of Options.
const (
	DefaultLimit   = 1 << 18
	DefaultSegment = 1 << 16
	DefaultEvery   = time.Second
)

// Options bound a recorder; the zero value is the default of everything.
type Options struct {
	// Start is the run's zero; the zero time is now.
	Start time.Time
	// Limit is how many events are held in memory at most, 240 bytes each; what comes beyond it
	// is shed. 0 is DefaultLimit, 63 MB.
	Limit int
	// Segment is how many events are sealed at once at most, roughly; 0 is DefaultSegment.
	Segment int
	// Every is how often what was recorded is sealed; 0 is DefaultEvery.
	Every time.Duration
	// InOrder keeps the order of recording among events of one instant. In virtual time many have
	// the same, and a cause stands before its effect by that order alone. All events then go through
	// one place, which real time has no need of.
	InOrder bool
}

// Recorder takes the events of one run. Record is safe for concurrent use.
type Recorder struct {
	start    time.Time
	dir      string
	off      bool // nothing is kept
	inOrder  bool
	shards   []shard
	store    *chunks
	counters counters

	shed   atomic.Int64 // events dropped and not yet told of in a shed event
	late   atomic.Int64 // events that came after Close
	broken failure
	stop   chan struct{} // closed when Close begins
	flush  chan struct{} // closed when the samplers are gone and all must be sealed
	ended  bool          // Close was told so; set before flush is closed
	others sync.WaitGroup
	sealed chan error // the sealing goroutine's last word
	closed sync.Once
	result error
}

// New starts a recorder that seals segments in dir at least each second.
func New(dir string) (*Recorder, error) { return NewWith(dir, Options{}) }

// NewAt starts a recorder whose run began at start.
func NewAt(dir string, start time.Time) (*Recorder, error) {
	return NewWith(dir, Options{Start: start})
}

// NewWith starts a recorder with other bounds. A folder that already has a history is refused.
func NewWith(dir string, o Options) (*Recorder, error) {
	if _, err := history.Open(dir); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("record in %q: %w", dir, errors.Join(fs.ErrExist, err))
	}
	if err := history.Prepare(dir); err != nil {
		return nil, err
	}
	r := newRecorder(dir, o)
	go func() { r.sealed <- newSealer(r, o).run() }()
	return r, nil
}

// Off is a recorder that keeps nothing: it has the run's clock and counts. What a run costs
// without its history is measured with it.
func Off() *Recorder {
	r := newRecorder("", Options{})
	r.off = true
	return r
}

func newRecorder(dir string, o Options) *Recorder {
	if o.Start.IsZero() {
		o.Start = time.Now()
	}
	if o.Limit == 0 {
		o.Limit = DefaultLimit
	}
	shards := 1 << bits.Len(uint(2*runtime.GOMAXPROCS(0)-1))
	if o.InOrder {
		shards = 1
	}
	return &Recorder{
		start:   o.Start,
		dir:     dir,
		inOrder: o.InOrder,
		shards:  make([]shard, shards),
		store:   newChunks(o.Limit),
		broken:  failure{told: make(chan struct{})},
		stop:    make(chan struct{}),
		flush:   make(chan struct{}),
		sealed:  make(chan error, 1),
	}
}

// Now is the time since the run began, in ns, on the run's one monotonic clock.
func (r *Recorder) Now() int64 { return int64(time.Since(r.start)) }

// Record keeps a copy of the event. It never waits for the disk, and allocates nothing but the
// memory that Options.Limit bounds. After Close it does nothing but count.
func (r *Recorder) Record(e *history.Event) {
	if !r.off {
		s := &r.shards[0]
		if len(r.shards) > 1 {
			s = &r.shards[rand.Uint32()&uint32(len(r.shards)-1)]
		}
		switch s.put(e, r.store) {
		case dropped:
			r.shed.Add(1)
		case afterEnd:
			r.late.Add(1)
			return
		}
	}
	r.counters.count(e)
}

// Late is how many events came after Close and are in no history.
func (r *Recorder) Late() int64 { return r.late.Load() }

// Failed is closed at the first error of the disk. From then on all events are shed.
func (r *Recorder) Failed() <-chan struct{} { return r.broken.told }

// Err is the first error of the disk, nil while there is none.
func (r *Recorder) Err() error { return r.broken.first() }

// Close records Ended when ended is true, seals, compacts the segments into one file and returns
// the first error of the whole recording. After an error the history stays as it was last sealed.
// A second call returns the same.
func (r *Recorder) Close(ended bool) error {
	r.closed.Do(func() {
		close(r.stop)
		r.others.Wait()
		if r.off {
			return
		}
		r.ended = ended
		close(r.flush)
		r.result = <-r.sealed
	})
	return r.result
}

// failure keeps the first error and tells of it.
type failure struct {
	mu   sync.Mutex
	err  error
	told chan struct{}
}

func (f *failure) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
		close(f.told)
	}
}

func (f *failure) first() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
