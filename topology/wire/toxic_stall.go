package wire

import (
	"time"

	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
)

// stallLimit is how many bytes a stall holds for one connection and direction before it stops
// reading; from there on the sender's own buffers fill, as they do before a real black hole.
const stallLimit = 256 << 10

// stall is a toxic that holds bytes, and the connection's end behind them, and lets all through on
// the same connection when it is removed, as TCP does after a black hole. It counts the markers
// that it holds. A connection that is made meanwhile is accepted and then hears nothing.
type stall struct {
	Marker string `json:"marker"`
	toll
}

// held is what a stall keeps of one connection.
type held struct {
	scan  *scan
	bytes []byte
	ended bool
}

func (s *stall) NewState() any { return &held{scan: newScan(s.Marker)} }

func (s *stall) Pipe(stub *toxics.ToxicStub) {
	h := stub.State.(*held)
	for {
		input := stub.Input
		if h.ended || len(h.bytes) >= stallLimit {
			input = nil
		}
		select {
		case <-stub.Interrupt:
			return
		case <-s.abandoned():
			s.discard(stub, h.scan)
			return
		case c := <-input:
			if c == nil {
				h.ended = true
				continue
			}
			s.touched.Add(h.scan.count(c.Data))
			h.bytes = append(h.bytes, c.Data...)
		}
	}
}

// Cleanup lets through what was held, in one piece: whoever writes it to the connection is waiting
// for it, but may be gone after the first piece when the connection's reader has left.
func (s *stall) Cleanup(stub *toxics.ToxicStub) {
	h := stub.State.(*held)
	if len(h.bytes) > 0 {
		all := &stream.StreamChunk{Data: h.bytes, Timestamp: time.Now()}
		h.bytes = nil
		if !s.pass(stub, all) {
			return
		}
	}
	if h.ended {
		stub.Close()
	}
}
