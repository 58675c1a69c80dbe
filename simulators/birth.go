package simulators

import "sync"

// Birth is how a message came to be born of another: the step By of a node made a message of Flow
// out of message Parent of ParentFlow.
type Birth struct {
	Flow       string
	By         string // node, handler and step
	ParentFlow string
	Parent     int64
}

// births remembers the numbers given to derived messages.
type births struct {
	mu    sync.Mutex
	given map[Birth]place
}

// place is a message's number in its flow and its number among those with its key.
type place struct{ number, keySeq int64 }

// Born numbers a derived message: its number within its flow and, where key is not empty, its
// place among the flow's messages with that key (else −1). The same birth gets the same numbers
// however often the parent is delivered, on whichever replica, so that a redelivery invents no
// message; fresh says that this is the first time.
func (e *Env) Born(b Birth, key string) (number, keySeq int64, fresh bool) {
	e.births.mu.Lock()
	defer e.births.mu.Unlock()
	if p, ok := e.births.given[b]; ok {
		return p.number, p.keySeq, false
	}
	if e.births.given == nil {
		e.births.given = map[Birth]place{}
	}
	p := place{number: e.Next(b.Flow), keySeq: e.NextOfKey(b.Flow, key)}
	e.births.given[b] = p
	return p.number, p.keySeq, true
}

// NextOfKey is the next place among a flow's messages with one key, from 0; −1 without a key.
func (e *Env) NextOfKey(flow, key string) int64 {
	if key == "" {
		return -1
	}
	return e.Next(flow, "key", key)
}
