package mqtt

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/faultline-sim/faultline/simulators/conn"
)

// acker sends acknowledgements in order without making their callers wait for the wire. The zero
// value is ready.
type acker struct {
	mu      sync.Mutex
	waiting []paho.Message
	told    map[uint16]func(error) // who hears when the acknowledgement of a packet is written
	idle    chan struct{}          // closed when the sending goroutine ends, nil while there is none
	stopped bool
}

// add sends an acknowledgement soon; told, where it is not nil, hears when it is written.
func (a *acker) add(c *Client, m paho.Message, told func(error)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if told != nil {
		if a.told == nil {
			a.told = map[uint16]func(error){}
		}
		a.told[m.MessageID()] = told
	}
	if a.stopped {
		return
	}
	a.waiting = append(a.waiting, m)
	if a.idle != nil {
		return
	}
	idle := make(chan struct{})
	if c.life.Go(func() { a.send(idle) }) {
		a.idle = idle
	}
}

// pubAck is the first byte of a PUBACK, whose identifier stands in its third and fourth. Source: MQTT
// 3.1.1, section 3.4. Nothing answers one.
const pubAck = 0x40

// wrote looks whether what was written is an acknowledgement that somebody wants to hear of.
func (a *acker) wrote(packet []byte) {
	if len(packet) != 4 || packet[0] != pubAck {
		return
	}
	id := binary.BigEndian.Uint16(packet[2:])
	a.mu.Lock()
	told := a.told[id]
	delete(a.told, id)
	a.mu.Unlock()
	if told != nil {
		told(nil)
	}
}

// lost tells of acknowledgements that were not written when the connection was lost.
func (a *acker) lost() {
	a.mu.Lock()
	told := a.told
	a.told = nil
	a.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(told)) {
		told[id](errNotWritten)
	}
}

// errNotWritten is of an acknowledgement that was lost with its connection.
var errNotWritten = fmt.Errorf("%w: the connection was lost", conn.ErrUnknown)

func (a *acker) send(idle chan struct{}) {
	defer close(idle)
	for {
		batch := a.take()
		for _, m := range batch {
			m.Ack()
		}
		if len(batch) == 0 {
			return
		}
	}
}

func (a *acker) take() []paho.Message {
	a.mu.Lock()
	defer a.mu.Unlock()
	batch := a.waiting
	if a.waiting = nil; len(batch) == 0 {
		a.idle = nil
	}
	return batch
}

// finish takes no more, and returns when all is sent or the time for a goodbye is over.
func (a *acker) finish() {
	a.mu.Lock()
	a.stopped = true
	idle := a.idle
	a.mu.Unlock()
	if idle == nil {
		return
	}
	timer := time.NewTimer(goodbye)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}
