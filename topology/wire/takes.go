package wire

import (
	"bytes"
	"hash/fnv"
	"time"

	"github.com/faultline-sim/faultline/topology/wire/memory"
)

// hop is how long bytes take over a wire in virtual time, at least; loopback takes about as long.
// Where nothing takes any time all comes in one instant, in an order that nobody decides. So each
// wire has a time of its own beside it, up to spread, and messages have one of their path's and one
// of their own: two that are sent at once arrive one after the other, always in the same order,
// whichever connections they go over. What carries no message takes the same over all paths of a
// wire, since a broker may choose by chance which replica is told first.
const (
	hop    = 20 * time.Microsecond
	spread = 9973 * time.Nanosecond
)

// takes is how long bytes take over a path of the wire, there and back; nil outside of virtual time.
// It is spent behind the proxy's toxics: what one of them lets go at once comes apart again.
func (l *link) takes(path string) (takes, back memory.Takes) {
	if l.fabric.opt.Transport != Virtual {
		return nil, nil
	}
	marker := []byte(l.fabric.opt.Marker)
	way := func(name string) memory.Takes {
		any, carrying := hop+ownShare(l.wire.String()+name), hop+ownShare(path+name)
		return func(b []byte) time.Duration {
			if id := message(b, marker); id != "" {
				return carrying + ownShare(id)
			}
			return any
		}
	}
	return way(upstream), way(downstream)
}

// ownShare is a share of spread that a text has to itself.
func ownShare(text string) time.Duration {
	sum := fnv.New64a()
	sum.Write([]byte(text))
	return time.Duration(sum.Sum64() % uint64(spread))
}

// message is what tells the first message in a piece from others, the rest of its trace id; "" where
// there is none.
func message(piece, marker []byte) string {
	const rest = 16
	at := bytes.Index(piece, marker)
	if at < 0 || len(marker) == 0 {
		return ""
	}
	id := piece[at+len(marker):]
	return string(id[:min(rest, len(id))])
}
