package wire

import (
	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
)

// limit is a toxic that closes a connection after Bytes of one direction. It stands in for the
// library's limit_data, which neither says that it closed one nor lets go of the sender. It counts
// each connection that it closes, and the markers dropped behind the limit.
type limit struct {
	Bytes  int64  `json:"bytes"`
	Marker string `json:"marker"`
	toll
}

// passed is what has gone over one connection.
type passed struct {
	scan  *scan // of what was dropped
	bytes int64
}

func (l *limit) NewState() any { return &passed{scan: newScan(l.Marker)} }

func (l *limit) Pipe(stub *toxics.ToxicStub) {
	p := stub.State.(*passed)
	for {
		select {
		case <-stub.Interrupt:
			return
		case c := <-stub.Input:
			if c == nil {
				stub.Close()
				return
			}
			rest := l.Bytes - p.bytes
			kept := c.Data[:min(rest, int64(len(c.Data)))]
			p.bytes += int64(len(kept))
			if !l.pass(stub, &stream.StreamChunk{Data: kept, Timestamp: c.Timestamp}) {
				l.discard(stub, p.scan)
				return
			}
			if p.bytes < l.Bytes {
				continue
			}
			l.touched.Add(max(1, p.scan.count(c.Data[len(kept):])))
			l.discard(stub, p.scan)
			return
		}
	}
}
