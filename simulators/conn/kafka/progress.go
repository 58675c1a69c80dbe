package kafka

import "sync"

// progress is how far a partition is settled. Offsets are handed out in order and settled in any;
// what may be committed is the offset behind the last one that has no unsettled one before it.
type progress struct {
	mu      sync.Mutex
	pending []int64            // handed out and not yet behind the mark, in order
	settled map[int64]struct{} // those of them that are settled
	mark    int64              // what may be committed; 0 is nothing yet
	written int64              // what was committed last
	told    []waiting          // to be told when it is committed
	closed  bool
}

func newProgress() *progress { return &progress{settled: map[int64]struct{}{}} }

// begin notes that an offset is handed out.
func (p *progress) begin(offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending = append(p.pending, offset)
}

// settle notes that an offset is done with; moved says that there is more to commit, and open is
// false when the partition has been taken away and nothing was noted.
func (p *progress) settle(offset int64) (moved, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false, false
	}
	if len(p.pending) == 0 || p.pending[0] != offset {
		p.settled[offset] = struct{}{}
		return false, true
	}
	p.pass()
	for len(p.pending) > 0 {
		if _, done := p.settled[p.pending[0]]; !done {
			break
		}
		delete(p.settled, p.pending[0])
		p.pass()
	}
	return true, true
}

// pass moves the mark behind the first pending offset; the lock is held.
func (p *progress) pass() {
	p.mark = p.pending[0] + 1
	p.pending = p.pending[1:]
}

// uncommitted is the mark, if it was not committed yet.
func (p *progress) uncommitted() (offset int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mark, p.mark > p.written
}

func (p *progress) committed(offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.written = max(p.written, offset)
}

// waiting is who wants to hear when an offset is committed.
type waiting struct {
	offset int64
	told   func(error)
}

// await has told called when an offset that is settled now is committed, or never will be.
func (p *progress) await(offset int64, told func(error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, waiting{offset, told})
}

// tell tells those that wait for what is committed; with an error, all that wait.
func (p *progress) tell(err error) {
	p.mu.Lock()
	all := p.told
	p.told = nil
	var now []waiting
	for _, w := range all {
		if err != nil || w.offset < p.written {
			now = append(now, w)
		} else {
			p.told = append(p.told, w)
		}
	}
	p.mu.Unlock()
	for _, w := range now {
		w.told(err)
	}
}

// lost says that the part has been taken away.
func (p *progress) lost() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// close refuses further settlements; the mark stays.
func (p *progress) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}
