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
	passed  int64   // the ticket behind the last that was written
	told    []waiting
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
func (p *progress) unwritten() (mark string, upTo int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mark, p.base, !p.closed && p.mark != p.written
}

// wrote notes that a mark was written, which all tickets before one are behind.
func (p *progress) wrote(mark string, upTo int64) {
	p.mu.Lock()
	p.written, p.passed = mark, upTo
	p.mu.Unlock()
	p.tell(nil)
}

// waiting is who wants to hear when a ticket is behind what was written.
type waiting struct {
	ticket int64
	told   func(error)
}

// await has told called when a record that is settled now is behind what was written, or never will
// be.
func (p *progress) await(ticket int64, told func(error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, waiting{ticket, told})
}

// tell tells those that wait for what was written; with an error, all that wait.
func (p *progress) tell(err error) {
	p.mu.Lock()
	all := p.told
	p.told = nil
	var now []waiting
	for _, w := range all {
		if err != nil || w.ticket < p.passed {
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

// close refuses further settlements and returns the mark.
func (p *progress) close() (mark string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return p.mark
}
