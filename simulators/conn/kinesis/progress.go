package kinesis

import "sync"

// shardEnd is the checkpoint of a shard that was read to its end and settled, as the Client
// Library writes it.
const shardEnd = "SHARD_END"

// progress is how far a shard is settled. Records are handed out in order and settled in any; the
// checkpoint is the sequence number of the last one that has no unsettled one before it.
type progress struct {
	mu      sync.Mutex
	pending []place // handed out and not yet behind the mark, in order
	base    int64   // the ticket of the first of them
	end     bool    // nothing comes behind them
	mark    string  // what may be written; "" is nothing yet
	written string  // what was written last
	closed  bool
}

// place is one record that was handed out.
type place struct {
	sequence string
	settled  bool
}

// newProgress begins behind the checkpoint that stands.
func newProgress(checkpoint string) *progress {
	return &progress{mark: checkpoint, written: checkpoint}
}

// begin notes that a record is handed out; the ticket settles it.
func (p *progress) begin(sequence string) (ticket int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending = append(p.pending, place{sequence: sequence})
	return p.base + int64(len(p.pending)) - 1
}

// settle notes that a record is done with; moved says that there is more to write, and open is
// false when the shard has been taken away and nothing was noted.
func (p *progress) settle(ticket int64) (moved, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false, false
	}
	p.pending[ticket-p.base].settled = true
	for len(p.pending) > 0 && p.pending[0].settled {
		p.mark = p.pending[0].sequence
		p.pending = p.pending[1:]
		p.base++
		moved = true
	}
	p.pass()
	return moved, true
}

// finish notes that the shard has no further records; moved says that all are settled.
func (p *progress) finish() (moved bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end = true
	p.pass()
	return len(p.pending) == 0
}

// pass moves the mark behind the shard's end when all is settled; the lock is held.
func (p *progress) pass() {
	if p.end && len(p.pending) == 0 && !p.closed {
		p.mark = shardEnd
	}
}

// unwritten is the mark, if it was not written yet.
func (p *progress) unwritten() (mark string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mark, !p.closed && p.mark != p.written
}

func (p *progress) wrote(mark string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.written = mark
}

// close refuses further settlements and returns the mark.
func (p *progress) close() (mark string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return p.mark
}
