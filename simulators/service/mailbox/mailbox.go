// Package mailbox is a queue per fleet member that a service keeps, read by long poll: what a
// gateway holds for app users until they fetch it.
//
// It is used in the run step of load → plan → run → check → report. It promises that a message
// stands in its box until the member acknowledged it, in the order it was put there. Boxes live in
// memory and are bounded; they imitate a small cache beside the service and so outlive a crash of
// its replicas, not the run. It imports nothing of the other simulators.
package mailbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
)

const (
	// Depth is how many messages a member's box holds at most.
	Depth = 10_000
	// Most is how many messages one poll is answered at most.
	Most = 100
	// Hold is how long an empty poll is held before it is answered with nothing.
	Hold = 10 * time.Second
)

// ErrFull is a message put into a box that is full.
var ErrFull = errors.New("mailbox is full")

// Boxes are the boxes of one channel, by member. The zero value is ready and safe for concurrent
// use.
type Boxes struct {
	mu    sync.Mutex
	boxes map[string]*box
}

// box is one member's queue: the messages numbered from first on.
type box struct {
	first  int64
	queued [][]byte
	filled chan struct{} // closed when a message comes, while somebody waits
}

// Put appends a message to a member's box.
func (b *Boxes) Put(member string, m *message.Message) error {
	doc, err := m.Structured()
	if err != nil {
		return fmt.Errorf("put message in mailbox %q: %w", member, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	box := b.of(member)
	if len(box.queued) >= Depth {
		return fmt.Errorf("put message in mailbox %q: %w", member, ErrFull)
	}
	box.queued = append(box.queued, doc)
	if box.filled != nil {
		close(box.filled)
		box.filled = nil
	}
	return nil
}

func (b *Boxes) of(member string) *box {
	if b.boxes == nil {
		b.boxes = map[string]*box{}
	}
	found, ok := b.boxes[member]
	if !ok {
		found = &box{first: 1}
		b.boxes[member] = found
	}
	return found
}

// Depths is how many messages stand in all boxes.
func (b *Boxes) Depths() (n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, box := range b.boxes {
		n += int64(len(box.queued))
	}
	return n
}

// Poll drops what the member acknowledged (all up to number acked) and returns what is there,
// waiting for a message until ctx ends. An answer without messages is not an error.
func (b *Boxes) Poll(ctx context.Context, member string, acked int64) Answer {
	for {
		answer, filled := b.take(member, acked)
		if filled == nil {
			return answer
		}
		select {
		case <-filled:
		case <-ctx.Done():
			return answer
		}
	}
}

// take returns either messages or a channel to wait on.
func (b *Boxes) take(member string, acked int64) (Answer, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	box := b.of(member)
	if done := min(acked-box.first+1, int64(len(box.queued))); done > 0 {
		box.queued = box.queued[done:]
		box.first += done
	}
	if len(box.queued) == 0 {
		if box.filled == nil {
			box.filled = make(chan struct{})
		}
		return Answer{Last: box.first - 1}, box.filled
	}
	n := min(len(box.queued), Most)
	answer := Answer{Last: box.first + int64(n) - 1}
	for _, doc := range box.queued[:n] {
		answer.Messages = append(answer.Messages, doc)
	}
	return answer, nil
}

// Answer is what a poll is answered: messages as structured CloudEvents and the number of the last
// one, to be acknowledged by the next poll.
type Answer struct {
	Last     int64             `json:"last"`
	Messages []json.RawMessage `json:"messages"`
}

// Name is the mailbox's name of a channel: its name without ":id" segments.
func Name(channel string) string {
	var kept []string
	for segment := range strings.SplitSeq(topology.ChannelName(channel), "/") {
		if !strings.HasPrefix(segment, ":") {
			kept = append(kept, segment)
		}
	}
	return strings.Join(kept, "/")
}

// Pattern is the route of a channel's polls.
func Pattern(channel string) string { return "GET /" + Name(channel) + "/:member" }

// Path is one poll of a member that has taken all messages up to acked.
func Path(channel, member string, acked int64) string {
	return "/" + Name(channel) + "/" + url.PathEscape(member) +
		"?ack=" + strconv.FormatInt(acked, 10)
}
