package wire

import "github.com/Shopify/toxiproxy/v2/toxics"

// reset is a toxic that ends a connection at its first byte, without order: the fabric has made both
// ends abrupt, as the library makes sockets for its own reset_peer. Nothing passes.
type reset struct{ toll }

func (r *reset) Pipe(stub *toxics.ToxicStub) {
	select {
	case <-stub.Interrupt:
	case <-stub.Input:
		r.discard(stub, newScan(""))
	}
}
