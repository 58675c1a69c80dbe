package pubsub

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/protobuf/proto"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/life"
	"github.com/faultline-sim/faultline/simulators/message"
)

const (
	// mostBatch is how many messages one request carries, and mostBatchBytes roughly how many bytes.
	mostBatch      = 1000
	mostBatchBytes = 1 << 20
	// abreast is how many requests for one channel are on their way at once.
	abreast = 4
)

// Publish sends a message and returns when the service has it. Messages of one key go out in the
// order of the calls, one request at a time: one that finds none on its way leaves at once, the
// others travel together in the next. A key has its lane, and a few lanes share a channel.
func (c *Client) Publish(ctx context.Context, channel string, m *message.Message) (
	conn.Receipt, error,
) {
	err := c.publish(ctx, channel, m)
	if err != nil {
		err = fmt.Errorf("publish to %q on %s: %w", channel, c.cfg.Dialer.Wire(), err)
	}
	return conn.Receipt{}, err
}

func (c *Client) publish(ctx context.Context, channel string, m *message.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := m.Check(); err != nil {
		return err
	}
	message, err := toPubsub(m)
	if err != nil {
		return err
	}
	l := c.lane(channel, m.Key)
	p := &parcel{message: message, size: proto.Size(message), done: make(chan struct{})}
	l.add(p)
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
	}
	if l.withdraw(p) {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", conn.ErrUnknown, ctx.Err())
}

// laneID is one of a channel's lanes.
type laneID struct {
	channel string
	number  uint32
}

// lane carries messages whose order matters to each other.
type lane struct {
	client *Client
	topic  string

	mu      sync.Mutex
	waiting []*parcel
	sending bool
}

// parcel is one message on its way; err is set when done is closed.
type parcel struct {
	message *pb.PubsubMessage
	size    int
	done    chan struct{}
	err     error
}

// lane is where a key belongs; a message without one takes each lane in turn.
func (c *Client) lane(channel, key string) *lane {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(key))
	c.mu.Lock()
	defer c.mu.Unlock()
	id := laneID{channel, hash.Sum32() % abreast}
	if key == "" {
		c.turn++
		id.number = c.turn % abreast
	}
	l := c.lanes[id]
	if l == nil {
		l = &lane{client: c, topic: topicName(channel)}
		c.lanes[id] = l
	}
	return l
}

// add puts a parcel in the lane; a goroutine sends as long as there are any.
func (l *lane) add(p *parcel) {
	l.mu.Lock()
	l.waiting = append(l.waiting, p)
	begin := !l.sending
	l.sending = true
	l.mu.Unlock()
	if begin && !l.client.life.Go(l.send) {
		l.refuse()
	}
}

// refuse answers all that wait in a client that is closed.
func (l *lane) refuse() {
	l.mu.Lock()
	waiting := l.waiting
	l.waiting, l.sending = nil, false
	l.mu.Unlock()
	settle(waiting, life.ErrClosed)
}

func settle(batch []*parcel, err error) {
	for _, p := range batch {
		p.err = err
		close(p.done)
	}
}

// withdraw takes a parcel back that is not on its way yet.
func (l *lane) withdraw(p *parcel) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.waiting, p)
	if i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
	return i >= 0
}

func (l *lane) send() {
	for {
		batch := l.take()
		if len(batch) == 0 {
			return
		}
		settle(batch, l.try(batch))
	}
}

// take is the next request's messages; with none, sending is over.
func (l *lane) take() []*parcel {
	l.mu.Lock()
	defer l.mu.Unlock()
	size, n := 0, 0
	for n < len(l.waiting) && n < mostBatch {
		if size += l.waiting[n].size; n > 0 && size > mostBatchBytes {
			break
		}
		n++
	}
	if n == 0 {
		l.sending = false
		return nil
	}
	batch := slices.Clone(l.waiting[:n])
	l.waiting = slices.Delete(l.waiting, 0, n)
	return batch
}

// try makes one request, once.
func (l *lane) try(batch []*parcel) error {
	if l.client.life.Err() != nil {
		return life.ErrClosed
	}
	ctx, cancel := context.WithTimeout(l.client.life, answerTimeout)
	defer cancel()
	req := &pb.PublishRequest{Topic: l.topic, Messages: make([]*pb.PubsubMessage, len(batch))}
	for i, p := range batch {
		req.Messages[i] = p.message
	}
	ctx, t := follow(ctx)
	if _, err := l.client.publisher.Publish(ctx, req); err != nil {
		return l.client.judge(err, t)
	}
	return nil
}
