package amqp

import "context"

// ChannelOf undoes ExchangeName.
var ChannelOf = channelOf

// Block makes the client believe that the broker takes no publishes, or does again.
func (c *Client) Block(ctx context.Context, blocked bool) error {
	s, err := c.main.session(ctx)
	if err == nil {
		s.block(blocked)
	}
	return err
}

// QueueName is where a group's messages of one part stand.
var QueueName = queueName

// Waiting is how many messages of a channel are not on their way yet.
func (c *Client) Waiting(channel string) int {
	l := c.lane(channel)
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)
}
