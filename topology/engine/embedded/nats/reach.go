package nats

import (
	"errors"
	"net"
	"reflect"
	"sync/atomic"
	"time"
	_ "unsafe" // go:linkname

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats-server/v2/server/ats"
)

// This file reaches into two places of nats-server that it does not export. Both are checked: an
// upgrade that moves them fails to link, or to start.

// give has a server that is not started yet accept from a listener in place of its own. The server
// looks for one before it opens one (getServerListener).
//
// Its way in for connections in memory, InProcessConn, makes a pipe of its own: copying to and from
// that costs a fifth to a third of what can be published over TCP.
func give(s *server.Server, l net.Listener) error {
	field := reflect.ValueOf(s).Elem().FieldByName("listener")
	if !field.IsValid() || field.Type() != reflect.TypeFor[net.Listener]() {
		return errors.New("start nats: the server cannot be given a listener")
	}
	*(*net.Listener)(field.Addr().UnsafePointer()) = l
	return nil
}

// Stores read the time off a variable that one goroutine of the process brings up to date. It waits
// on a channel that was made when the process began: in a bubble of virtual time its clock would
// stand still, and outside of it the time would not be that of the bubble, where messages would be
// older than they may be at once. So that goroutine is never begun: who starts it believes that
// somebody has, and each engine keeps the time itself.

//go:linkname storeTime github.com/nats-io/nats-server/v2/server/ats.utime
var storeTime atomic.Int64 // Unix nanoseconds

//go:linkname storeUsers github.com/nats-io/nats-server/v2/server/ats.refs
var storeUsers atomic.Int64

// clock keeps the time of stores until it is stopped.
type clock struct{ quit, done chan struct{} }

func startClock() *clock {
	storeUsers.Add(1)
	c := &clock{quit: make(chan struct{}), done: make(chan struct{})}
	storeTime.Store(time.Now().UnixNano())
	go c.run()
	return c
}

func (c *clock) run() {
	defer close(c.done)
	tick := time.NewTicker(ats.TickInterval)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			storeTime.Store(now.UnixNano())
		case <-c.quit:
			return
		}
	}
}

func (c *clock) stop() {
	close(c.quit)
	<-c.done
	storeUsers.Add(-1)
}
