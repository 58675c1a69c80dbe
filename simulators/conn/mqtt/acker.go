package mqtt

import (
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// acker sends acknowledgements in order without making their callers wait for the wire. The zero
// value is ready.
type acker struct {
	mu      sync.Mutex
	waiting []paho.Message
	idle    chan struct{} // closed when the sending goroutine ends, nil while there is none
	stopped bool
}

func (a *acker) add(c *Client, m paho.Message) {
	a.mu.Lock()
	defer a.mu.Unlock()
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
