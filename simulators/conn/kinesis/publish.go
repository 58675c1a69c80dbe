package kinesis

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
)

// Publish puts a record into the shard of its key (without a key, of its id) and returns when the
// stream has it. The receipt's partition is the shard's number, its offset what offsetOf makes of
// the sequence number. A throttled record is tried again until ctx ends.
func (c *Client) Publish(ctx context.Context, channel string, m *message.Message) (
	conn.Receipt, error,
) {
	fail := func(err error) (conn.Receipt, error) {
		return conn.Receipt{}, fmt.Errorf("publish to %q over %s: %w", channel, c.link.Wire(), err)
	}
	p, err := c.parcel(m)
	if err != nil {
		return fail(err)
	}
	l := c.lane(StreamName(channel))
	l.add(p)
	select {
	case <-p.done:
	case <-ctx.Done():
		if !l.withdraw(p) {
			return fail(fmt.Errorf("%w: %w", conn.ErrUnknown, ctx.Err()))
		}
		if p.err != nil {
			return fail(fmt.Errorf("%w: %w", ctx.Err(), p.err))
		}
		return fail(ctx.Err())
	}
	if p.err != nil {
		return fail(explain(p.err))
	}
	return p.receipt, nil
}

// parcel is one record on its way. Receipt and err are set when done is closed; until then the lane
// has err to itself and notes in it why a try came to nothing.
type parcel struct {
	entry   types.PutRecordsRequestEntry
	size    int
	left    bool // nobody waits for it any more; the lane's
	done    chan struct{}
	receipt conn.Receipt
	err     error
}

func (c *Client) parcel(m *message.Message) (*parcel, error) {
	tooLarge := func(size int) (*parcel, error) {
		return nil, fmt.Errorf("%w: message %q makes a record of %d bytes, a stream takes %d; "+
			"make its body smaller", conn.ErrRefused, m.ID(), size, mostRecord)
	}
	if len(m.Data) > mostRecord {
		return tooLarge(len(m.Data))
	}
	data, err := toData(m)
	if err != nil {
		return nil, err
	}
	key := partitionKey(m)
	size := len(data) + len(key)
	if size > mostRecord {
		return tooLarge(size)
	}
	return &parcel{
		entry: types.PutRecordsRequestEntry{Data: data, PartitionKey: &key},
		size:  size,
		done:  make(chan struct{}),
	}, nil
}

func (p *parcel) settle(r conn.Receipt, err error) {
	p.receipt, p.err = r, err
	close(p.done)
}
