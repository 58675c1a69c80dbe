package nats

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/faultline-sim/faultline/simulators/conn/dialed"
)

const (
	// roomBelow is how many bytes may wait to be sent before publishers have to.
	roomBelow = 1 << 20
	// mostWaiting is how many bytes may wait to be sent at all; what does not wait for room is
	// small.
	mostWaiting = 64 << 20
	// keepBuffer is the largest buffer that an idle connection holds on to, in bytes.
	keepBuffer = 64 << 10
)

// outbox is a connection that never makes its writer wait: bytes wait in memory until a goroutine
// of its own has sent them. The library writes while it holds the lock that all its calls take, so
// a call would hang behind a wire that takes nothing. Who publishes waits for room instead, where
// nothing is locked.
type outbox struct {
	*dialed.Conn

	mu      sync.Mutex
	change  sync.Cond // something waits to be sent, or nothing will be
	waiting []byte
	spare   []byte
	err     error         // why nothing is sent any more
	sent    chan struct{} // closed when what waited is being sent; nil while nobody waits for room
}

// newOutbox begins one. Its goroutine ends with the connection, and senders wait for it.
func newOutbox(c *dialed.Conn, senders *sync.WaitGroup) *outbox {
	o := &outbox{Conn: c}
	o.change.L = &o.mu
	senders.Go(o.send)
	return o
}

// Write takes the bytes. An error is that of an earlier write.
func (o *outbox) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil && len(o.waiting)+len(p) > mostWaiting {
		o.stop(fmt.Errorf("write to server: more than %d bytes wait", mostWaiting))
	}
	if o.err != nil {
		return 0, o.err
	}
	o.waiting = append(o.waiting, p...)
	o.change.Signal()
	return len(p), nil
}

// room waits until little waits to be sent, or nothing will be.
func (o *outbox) room(ctx context.Context) error {
	for {
		o.mu.Lock()
		if len(o.waiting) < roomBelow || o.err != nil {
			o.mu.Unlock()
			return nil
		}
		if o.sent == nil {
			o.sent = make(chan struct{})
		}
		sent := o.sent
		o.mu.Unlock()
		select {
		case <-sent:
		case <-ctx.Done():
			return fmt.Errorf("wait for room on the connection: %w", ctx.Err())
		}
	}
}

// send writes what waits, until an error or the end. Then the reader meets the end too.
func (o *outbox) send() {
	for {
		batch := o.take()
		if batch == nil {
			break
		}
		if _, err := o.Conn.Write(batch); err != nil {
			o.mu.Lock()
			o.stop(err)
			o.mu.Unlock()
		}
	}
	o.Conn.Close()
}

// take waits for the next bytes to write; nil is the end.
func (o *outbox) take() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.waiting) == 0 && o.err == nil {
		o.change.Wait()
	}
	if o.err != nil {
		return nil
	}
	batch := o.waiting
	o.waiting, o.spare = o.spare[:0], batch
	if cap(batch) > keepBuffer {
		o.spare = nil
	}
	o.tell()
	return batch
}

// stop sends nothing more; the lock is held.
func (o *outbox) stop(err error) {
	if o.err == nil {
		o.err, o.waiting, o.spare = err, nil, nil
	}
	o.change.Signal()
	o.tell()
}

// tell wakes those who wait for room; the lock is held.
func (o *outbox) tell() {
	if o.sent != nil {
		close(o.sent)
		o.sent = nil
	}
}

// Close ends the connection; what waits is not sent.
func (o *outbox) Close() error {
	o.mu.Lock()
	o.stop(net.ErrClosed)
	o.mu.Unlock()
	return o.Conn.Close()
}
