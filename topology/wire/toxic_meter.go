package wire

import "github.com/Shopify/toxiproxy/v2/toxics"

// What a meter counts.
const (
	countMarkers = "markers" // each marker
	countCloses  = "closes"  // each connection that carried bytes and is closed
	countFirst   = "first"   // the markers of the first piece, at least one; nothing passes behind it
)

// meter is a toxic that leaves bytes as they are and counts what the toxic behind it touches, as
// it comes by. Nothing is lost when it is removed.
type meter struct {
	Marker string `json:"marker"`
	Counts string `json:"counts"`
	toll
}

func (m *meter) NewState() any { return newScan(m.Marker) }

func (m *meter) Pipe(stub *toxics.ToxicStub) {
	seen := stub.State.(*scan)
	for {
		select {
		case <-stub.Interrupt:
			return
		case c := <-stub.Input:
			if c == nil {
				if m.Counts == countCloses && seen.used {
					m.touched.Add(1)
				}
				stub.Close()
				return
			}
			m.count(seen.count(c.Data))
			if !m.pass(stub, c) || m.Counts == countFirst {
				m.discard(stub, seen)
				return
			}
		}
	}
}

func (m *meter) count(markers int64) {
	switch m.Counts {
	case countMarkers:
		m.touched.Add(markers)
	case countFirst:
		m.touched.Add(max(1, markers))
	}
}
