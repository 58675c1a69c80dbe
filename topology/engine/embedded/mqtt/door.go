package mqtt

import (
	"log/slog"
	"sync"

	"github.com/mochi-mqtt/server/v2/listeners"

	"github.com/faultline-sim/faultline/topology/engine/embedded/gate"
)

// door is the library's listener over a gate. It owns the connections that came through it.
type door struct {
	gate    *gate.Gate
	served  chan struct{}
	clients sync.WaitGroup

	mu   sync.Mutex
	open map[*conn]struct{}
}

func newDoor(g *gate.Gate) *door {
	return &door{gate: g, served: make(chan struct{}), open: map[*conn]struct{}{}}
}

// ID, Address, Protocol and Init are what the library asks of a listener.
func (d *door) ID() string                  { return "door" }
func (d *door) Address() string             { return d.gate.Addr().String() }
func (d *door) Protocol() string            { return "tcp" }
func (d *door) Init(log *slog.Logger) error { return nil }

// Serve gives each connection to the broker until the gate is closed.
func (d *door) Serve(establish listeners.EstablishFn) {
	defer close(d.served)
	for {
		raw, err := d.gate.Accept()
		if err != nil {
			return
		}
		c := newConn(raw, &d.clients)
		d.mu.Lock()
		d.open[c] = struct{}{}
		d.mu.Unlock()
		d.clients.Go(func() { d.attend(c, establish) })
	}
}

// attend sees one connection to its end.
func (d *door) attend(c *conn, establish listeners.EstablishFn) {
	_ = establish(d.ID(), c) // how a client ended is no news to the engine
	c.release()
	c.Close()
	d.mu.Lock()
	delete(d.open, c)
	d.mu.Unlock()
}

// Close ends every connection once what was answered on it is sent. The library's own way of
// ending them would send a packet that MQTT 3.1.1 does not know.
func (d *door) Close(listeners.CloseFn) {
	d.gate.Close()
	<-d.served
	d.mu.Lock()
	open := make([]*conn, 0, len(d.open))
	for c := range d.open {
		open = append(open, c)
	}
	d.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}

// wait returns when nothing that the door has let in is left.
func (d *door) wait() {
	<-d.served
	d.clients.Wait()
}
