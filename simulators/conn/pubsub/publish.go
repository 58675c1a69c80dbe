package pubsub

import (
	"context"
	"fmt"
	"hash/fnv"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/protobuf/proto"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/lane"
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
	_, err = c.lane(channel, m.Key).Put(ctx, message, proto.Size(message))
	return err
}

// laneID is one of a channel's lanes.
type laneID struct {
	channel string
	number  uint32
}

// lane is where a key belongs; a message without one takes each lane in turn.
func (c *Client) lane(channel, key string) *lane.Lane[*pb.PubsubMessage] {
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
		l = lane.New(lane.Options[*pb.PubsubMessage]{
			Life: c.life, Most: mostBatch, MostBytes: mostBatchBytes,
			Send: func(batch []*parcel) { c.send(topicName(channel), batch) },
		})
		c.lanes[id] = l
	}
	return l
}

// parcel is one message on its way.
type parcel = lane.Parcel[*pb.PubsubMessage]

// send makes one request, once.
func (c *Client) send(topic string, batch []*parcel) {
	err := c.try(topic, batch)
	for _, p := range batch {
		p.Settle(conn.Receipt{}, err)
	}
}

func (c *Client) try(topic string, batch []*parcel) error {
	if c.life.Err() != nil {
		return life.ErrClosed
	}
	ctx, cancel := context.WithTimeout(c.life, answerTimeout)
	defer cancel()
	req := &pb.PublishRequest{Topic: topic, Messages: make([]*pb.PubsubMessage, len(batch))}
	for i, p := range batch {
		req.Messages[i] = p.Content
	}
	ctx, t := follow(ctx)
	if _, err := c.publisher.Publish(ctx, req); err != nil {
		return c.judge(err, t)
	}
	return nil
}
