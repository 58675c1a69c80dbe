package wire

import (
	"bytes"
	"hash/fnv"
	"time"

	"github.com/faultline-sim/faultline/topology/wire/memory"
)

// hop is how long bytes take over a wire in virtual time, at least; loopback takes about as long.
// Where nothing takes any time all comes in one instant, in an order that nobody decides. So each
// path has a time of its own beside it, up to spread, and so has each message: two that are sent at
// once arrive one after the other, always in the same order, whichever connections they go over.
const (
	hop    = 20 * time.Microsecond
	spread = 9973 * time.Nanosecond
)

// takes is how long bytes take over a path, there and back; nil outside of virtual time.
func (f *fabric) takes(path string) (takes, back memory.Takes) {
	if f.opt.Transport != Virtual {
		return nil, nil
	}
	marker := []byte(f.opt.Marker)
	way := func(name string) memory.Takes {
		own := hop + ownShare([]byte(path+name))
		return func(b []byte) time.Duration { return own + ownShare(message(b, marker)) }
	}
	return way(upstream), way(downstream)
}

// ownShare is a share of spread that a text has to itself; nothing has none.
func ownShare(text []byte) time.Duration {
	if len(text) == 0 {
		return 0
	}
	sum := fnv.New64a()
	sum.Write(text)
	return time.Duration(sum.Sum64() % uint64(spread))
}

// message is what tells the first message in a piece from others: the rest of its trace id.
func message(piece, marker []byte) []byte {
	const rest = 16
	at := bytes.Index(piece, marker)
	if at < 0 || len(marker) == 0 {
		return nil
	}
	id := piece[at+len(marker):]
	return id[:min(rest, len(id))]
}
