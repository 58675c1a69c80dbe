package sqs

import (
	"crypto/rand"
	"errors"
	"strconv"
	"sync"

	"github.com/faultline-sim/faultline/simulators/conn"
)

// mostUnsure is how many publishings without an answer are remembered.
const mostUnsure = 4096

// Copies tells FIFO queues which letters are copies of one. A message that is published again
// after no answer came is a copy of its first try, and stored once; after an answer, or by another
// client, it is a new one: so a redriven message is not swallowed, as it would be if its id alone
// were the deduplication id. Safe for concurrent use.
//
// Source: Amazon SQS Developer Guide, "Using the message deduplication ID".
type Copies struct {
	begun string // unlike that of any other client

	mu     sync.Mutex
	count  uint64
	unsure map[string]string
}

// NewCopies begins with none.
func NewCopies() *Copies {
	return &Copies{begun: rand.Text()[:13], unsure: map[string]string{}}
}

// Mark marks a letter to a channel. The returned function is told what came of it.
func (c *Copies) Mark(l *Letter, channel string) (told func(error)) {
	key := channel + "\x00" + l.Copy
	c.mu.Lock()
	defer c.mu.Unlock()
	mark := c.unsure[key]
	if mark == "" {
		c.count++
		mark = identifier(l.Copy + "." + c.begun + strconv.FormatUint(c.count, 36))
	}
	delete(c.unsure, key)
	l.Copy = mark
	return func(err error) {
		if errors.Is(err, conn.ErrUnknown) {
			c.remember(key, mark)
		}
	}
}

func (c *Copies) remember(key, mark string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for oldest := range c.unsure {
		if len(c.unsure) < mostUnsure {
			break
		}
		delete(c.unsure, oldest) // any: each is a copy that will be taken for a new message
	}
	c.unsure[key] = mark
}
