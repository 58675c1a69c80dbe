package wire

import (
	"sync"
	"sync/atomic"

	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
)

// The names of our own toxics. They can be added by anybody through the HTTP API too.
const (
	stallType = "faultline_stall"
	meterType = "faultline_meter"
	limitType = "faultline_limit"
)

// registerOnce guards the library's registry of toxics, which is global to the process and asks
// for a type, not for an object. So it is filled once, under names that nobody else takes; all that
// belongs to a fabric (markers, counts) lives in the objects that the library makes of the types,
// one for each toxic on each proxy.
var registerOnce sync.Once

func registerToxics() {
	registerOnce.Do(func() {
		toxics.Register(stallType, new(stall))
		toxics.Register(meterType, new(meter))
		toxics.Register(limitType, new(limit))
		// The library's bandwidth toxic writes its every step to the process's global logger.
		zerolog.SetGlobalLevel(max(zerolog.DebugLevel, zerolog.GlobalLevel()))
	})
}

// toll is what our own toxics share: a live count, and a way out of a connection that hangs.
// The zero value is ready.
type toll struct {
	touched atomic.Int64
	made    sync.Once
	once    sync.Once
	left    chan struct{}
}

func (t *toll) tolls() *toll { return t }

// abandoned is closed when the connections that the toxic still serves are given up.
func (t *toll) abandoned() chan struct{} {
	t.made.Do(func() { t.left = make(chan struct{}) })
	return t.left
}

func (t *toll) abandon() { t.once.Do(func() { close(t.abandoned()) }) }

// pass hands a piece on. It is false when the connection was given up and has ended.
func (t *toll) pass(stub *toxics.ToxicStub, c *stream.StreamChunk) bool {
	select {
	case stub.Output <- c:
		return true
	case <-t.abandoned():
		stub.Close()
		return false
	}
}

// discard ends the connection and drops what is still sent on it, counting the markers, until its
// sender is through: a sender that nobody listens to would be left behind for good.
func (t *toll) discard(stub *toxics.ToxicStub, s *scan) {
	stub.Close()
	for c := range stub.Input {
		t.touched.Add(s.count(c.Data))
	}
}
