package memory

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// ringFirst is how many bytes a ring has room for at first; it grows to ringMost.
	ringFirst = 1 << 10
	// ringMost is how many bytes wait in one direction at most. A kernel holds more on loopback;
	// what is held up earlier here is the same sender.
	ringMost = 64 << 10
)

// ring is one direction of a connection. One mutex guards it all and is never held over a wait.
type ring struct {
	mu       sync.Mutex
	readable sync.Cond // there are bytes, or the reader's waiting has an end
	writable sync.Cond // there is room, or the writer's waiting has an end

	buf  []byte
	at   int // of the first byte that waits
	size int // bytes that wait, those on their way included

	takes  Takes   // from a write until its bytes can be read; nil is at once
	coming []burst // what is on its way, in order
	far    int     // how many of size are on their way

	// readErr and writeErr end Read and Write; Read yields what waits first, unless it was reset.
	readErr, writeErr error
	readEnd, writeEnd deadline
}

// burst is when bytes can be read that were written at once. Without bytes it is the direction's
// end.
type burst struct {
	bytes int
	at    time.Time
}

func newRing(takes Takes) *ring {
	r := &ring{takes: takes}
	r.readable.L, r.writable.L = &r.mu, &r.mu
	r.readEnd.cond, r.writeEnd.cond = &r.readable, &r.writable
	return r
}

// read waits for bytes and takes as many as there are room for.
func (r *ring) read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.awaitBytes(len(b)); err != nil || len(b) == 0 {
		return 0, err
	}
	b = b[:min(len(b), r.size-r.far)]
	n := copy(b, r.first())
	n += copy(b[n:], r.buf) // what lies behind the ring's seam
	r.drop(n)
	return n, nil
}

// peek waits for bytes and shows some, at most so many. They stay as they are until discard.
func (r *ring) peek(most int) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.awaitBytes(1); err != nil {
		return nil, err
	}
	piece := r.first()
	return piece[:min(most, len(piece), r.size-r.far)], nil
}

// discard drops what peek has shown.
func (r *ring) discard(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(min(n, r.size-r.far))
}

// awaitBytes waits until there are bytes to read. The mutex is held.
func (r *ring) awaitBytes(wanted int) error {
	for {
		switch {
		case r.readErr == net.ErrClosed, r.readErr == syscall.ECONNRESET:
			return r.readErr
		case r.readEnd.passed():
			return os.ErrDeadlineExceeded
		}
		next := r.arrive()
		switch {
		case r.size > r.far || wanted == 0:
			return nil
		case r.readErr != nil && next.IsZero():
			return r.readErr
		}
		r.readEnd.wait(next)
	}
}

// arrive lets be read what has come by now, and says when more comes; zero where nothing is on its
// way.
func (r *ring) arrive() (next time.Time) {
	if len(r.coming) == 0 {
		return next
	}
	now := time.Now()
	for len(r.coming) > 0 && !r.coming[0].at.After(now) {
		r.far -= r.coming[0].bytes
		r.coming = r.coming[1:]
	}
	if len(r.coming) == 0 {
		r.coming = nil
		return next
	}
	return r.coming[0].at
}

// send notes that bytes are on their way, or the end where there are none.
func (r *ring) send(b []byte) {
	if r.takes == nil {
		r.readable.Broadcast()
		return
	}
	next := burst{len(b), time.Now().Add(r.takes(b))}
	if n := len(r.coming); n > 0 && next.at.Before(r.coming[n-1].at) {
		next.at = r.coming[n-1].at
	}
	r.far += len(b)
	r.coming = append(r.coming, next)
	r.readEnd.expect(r.coming[0].at)
}

// first are the bytes that wait up to the ring's seam.
func (r *ring) first() []byte { return r.buf[r.at:min(r.at+r.size, len(r.buf))] }

func (r *ring) drop(n int) {
	if n == 0 {
		return
	}
	r.size -= n
	if r.at = (r.at + n) % len(r.buf); r.size == 0 {
		r.at = 0
	}
	r.writable.Broadcast()
}

// write waits for room until all of b is in.
func (r *ring) write(b []byte) (n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if err := r.awaitRoom(); err != nil {
			return n, err
		}
		n += r.put(b[n:])
		if n == len(b) {
			return n, nil
		}
	}
}

func (r *ring) awaitRoom() error {
	for {
		switch {
		case r.writeErr != nil:
			return r.writeErr
		case r.writeEnd.passed():
			return os.ErrDeadlineExceeded
		case r.size < ringMost:
			return nil
		}
		r.writeEnd.wait(time.Time{})
	}
}

// put takes in as much of b as there is room for.
func (r *ring) put(b []byte) (n int) {
	b = b[:min(len(b), ringMost-r.size)]
	r.grow(r.size + len(b))
	for n < len(b) {
		end := (r.at + r.size) % len(r.buf)
		room := len(r.buf) - end
		if end < r.at {
			room = r.at - end
		}
		taken := copy(r.buf[end:end+room], b[n:])
		r.size += taken
		n += taken
	}
	if n > 0 {
		r.send(b[:n])
	}
	return n
}

// grow makes room for so many bytes. What peek has shown stays readable in the old memory.
func (r *ring) grow(wanted int) {
	if wanted <= len(r.buf) {
		return
	}
	size := max(ringFirst, len(r.buf))
	for size < wanted {
		size *= 2
	}
	larger := make([]byte, size)
	n := copy(larger, r.first())
	copy(larger[n:], r.buf[:r.size-n])
	r.buf, r.at = larger, 0
}

// finish ends the direction in order: the reader gets what waits and then io.EOF; the writer, who
// ended it, gets err.
func (r *ring) finish(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.writeErr == nil || r.writeErr == syscall.EPIPE {
		r.writeErr = err
	}
	if r.readErr == nil {
		r.readErr = io.EOF
		r.send(nil)
	}
	r.writeEnd.stop()
	r.writable.Broadcast()
}

// leave is the reader's going: it reads no more, and who writes meets a closed connection; a reset
// where bytes were left unread.
func (r *ring) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.readErr == nil || r.readErr == io.EOF || r.readErr == syscall.ECONNRESET {
		r.readErr = net.ErrClosed
	}
	if r.writeErr == nil {
		r.writeErr = syscall.EPIPE
		if r.size > 0 {
			r.writeErr = syscall.ECONNRESET
		}
	}
	r.forget()
	r.wake()
}

// reset ends the direction without order: what waits is lost.
func (r *ring) reset(writer, reader error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.writeErr != net.ErrClosed {
		r.writeErr = writer
	}
	if r.readErr != net.ErrClosed {
		r.readErr = reader
	}
	r.forget()
	r.wake()
}

func (r *ring) forget() { r.buf, r.at, r.size, r.coming, r.far = nil, 0, 0, nil, 0 }

func (r *ring) wake() {
	r.readEnd.stop()
	r.writeEnd.stop()
	r.readable.Broadcast()
	r.writable.Broadcast()
}

// idle says that the direction is open and nothing waits in it.
func (r *ring) idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.readErr == nil && r.size == 0
}

// open says that the writer may write.
func (r *ring) open() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.writeErr == nil
}

func (r *ring) readBy(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.readErr == net.ErrClosed {
		return r.readErr
	}
	r.readEnd.set(t)
	return nil
}

func (r *ring) writeBy(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.writeErr == net.ErrClosed {
		return r.writeErr
	}
	r.writeEnd.set(t)
	return nil
}

// deadline ends the waiting on a condition. Its timer runs only while somebody waits, because most
// deadlines are set anew before they pass and nobody ever waits for them. The ring's mutex guards it.
type deadline struct {
	cond    *sync.Cond
	at      time.Time   // zero is none
	timer   *time.Timer // nil before the first wait with a deadline
	due     time.Time   // when timer fires, zero when it does not run
	waiting int
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) set(t time.Time) {
	d.at = t
	if d.waiting > 0 {
		d.cond.Broadcast() // who waits looks at it anew
	}
}

// wait waits for the condition, the deadline or another time; zero is none.
func (d *deadline) wait(other time.Time) {
	d.arm(d.at)
	d.arm(other)
	d.waiting++
	d.cond.Wait()
	d.waiting--
}

// expect makes who waits look at a time.
func (d *deadline) expect(at time.Time) {
	if d.waiting > 0 {
		d.arm(at)
	}
}

// arm makes the timer fire no later than at; zero is no time.
func (d *deadline) arm(at time.Time) {
	switch {
	case at.IsZero() || !d.due.IsZero() && !d.due.After(at):
		return
	case d.timer == nil:
		d.timer = time.AfterFunc(time.Until(at), d.fire)
	default:
		d.timer.Reset(time.Until(at))
	}
	d.due = at
}

func (d *deadline) fire() {
	d.cond.L.Lock()
	defer d.cond.L.Unlock()
	d.due = time.Time{}
	d.cond.Broadcast()
}

// stop lets the timer go with the connection.
func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.due = time.Time{}
	}
}
