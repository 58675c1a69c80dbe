package wire

import (
	"sync"
	"time"

	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
)

// stallLimit is how many bytes a stall holds for one connection and direction before it stops
// reading; from there on the sender's own buffers fill, as they do before a real black hole.
const stallLimit = 256 << 10

// stall is a toxic that holds bytes, and the connection's end behind them, and lets all through on
// the same connection when it is released or removed, as TCP does after a black hole. It counts
// the markers that it holds. A connection that is made meanwhile is accepted and then hears
// nothing.
type stall struct {
	Marker string `json:"marker"`
	toll
	gate
}

// held is what a stall keeps of one connection. Pieces stay as they came: the library loses bytes
// of pieces that are larger than its own.
type held struct {
	scan    *scan
	pieces  []*stream.StreamChunk
	size    int
	ended   bool
	waiting bool          // counted by the gate
	turn    time.Duration // how long after the release it is let go
}

func (h *held) add(c *stream.StreamChunk) {
	h.pieces = append(h.pieces, c)
	h.size += len(c.Data)
}

func (h *held) next() *stream.StreamChunk {
	return &stream.StreamChunk{Data: h.pieces[0].Data, Timestamp: time.Now()}
}

func (h *held) drop() {
	h.size -= len(h.pieces[0].Data)
	h.pieces = h.pieces[1:]
}

func (s *stall) NewState() any { return &held{scan: newScan(s.Marker)} }

func (s *stall) Pipe(stub *toxics.ToxicStub) {
	h := stub.State.(*held)
	released := s.released()
	var turn <-chan time.Time
	open := false
	for {
		if open && len(h.pieces) == 0 {
			s.leave(h)
			if h.ended {
				stub.Close()
				return
			}
		}
		input, output, next := stub.Input, stub.Output, (*stream.StreamChunk)(nil)
		if h.ended || h.size >= stallLimit {
			input = nil
		}
		if !open || len(h.pieces) == 0 {
			output = nil
		} else {
			next = h.next()
		}
		select {
		case <-stub.Interrupt:
			return
		case <-s.abandoned():
			s.discard(stub, h.scan)
			return
		case <-released:
			released, turn = nil, time.After(h.turn)
		case <-turn:
			open, turn = true, nil
		case output <- next:
			h.drop()
		case c := <-input:
			s.take(h, c, open)
		}
	}
}

// take holds what came; nil is the connection's end.
func (s *stall) take(h *held, c *stream.StreamChunk, open bool) {
	if !open {
		s.enter(h)
	}
	if c == nil {
		h.ended = true
		return
	}
	markers := h.scan.count(c.Data)
	if !open {
		s.touched.Add(markers)
	}
	h.add(c)
}

// Cleanup lets through what is still held.
func (s *stall) Cleanup(stub *toxics.ToxicStub) {
	h := stub.State.(*held)
	for ; len(h.pieces) > 0; h.drop() {
		if !s.pass(stub, h.next()) {
			return
		}
	}
	s.leave(h)
	if h.ended {
		stub.Close()
	}
}

// gate lets go of what the connections of one stall hold, before the stall is removed. To remove
// it the library locks the proxy; a connection whose reader has left would then never be found
// gone. The zero value is a closed gate.
type gate struct {
	mu      sync.Mutex
	open    chan struct{} // closed by release
	empty   chan struct{} // closed when nobody waits any more; nil before release
	opened  bool
	waiting int
	entered int // connections that have ever begun to wait
}

// turnApart is how far apart connections are let go, in the order in which they began to wait, so
// that what they hold comes in an order that somebody decides.
const turnApart = 100 * time.Nanosecond

// released is closed when the gate is.
func (g *gate) released() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = make(chan struct{})
	}
	return g.open
}

// release opens the gate. What it yields is closed when all that was held has gone.
func (g *gate) release() (empty <-chan struct{}) {
	g.released()
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.opened {
		g.opened, g.empty = true, make(chan struct{})
		close(g.open)
		if g.waiting == 0 {
			close(g.empty)
		}
	}
	return g.empty
}

// enter counts a connection that begins to wait.
func (g *gate) enter(h *held) {
	if h.waiting {
		return
	}
	h.waiting = true
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting++
	h.turn = time.Duration(g.entered) * turnApart
	g.entered++
}

// leave counts a connection that waits no longer.
func (g *gate) leave(h *held) {
	if !h.waiting {
		return
	}
	h.waiting = false
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting--; g.waiting == 0 && g.empty != nil {
		select {
		case <-g.empty:
		default:
			close(g.empty)
		}
	}
}
