package kinesis

import (
	"context"
	"errors"
	"fmt"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/faultline-sim/faultline/simulators/conn/aws"
)

const (
	// firstRead and mostRead are how many records the first answer to a reader may bring, and any.
	firstRead = 100
	mostRead  = 1000
	// largeRead is how many bytes of data make an answer large: the next one should bring fewer
	// records. The service itself stops at 10 MB, imitations do not.
	largeRead = 2 << 20
)

// reader reads one shard, from behind a sequence number. It is used by one goroutine at a time.
type reader struct {
	client   *Client
	stream   string
	shard    string
	after    string  // what was read last; "" begins at the oldest record
	iterator *string // nil asks for a new one
	limit    int32
	// ended says that the shard is closed and was read to its end.
	ended bool
	// behind says that there may be more to read at once.
	behind bool
}

func (c *Client) reader(stream, shard, after string) *reader {
	return &reader{client: c, stream: stream, shard: shard, after: after, limit: firstRead}
}

// next is what stands behind what was read so far, perhaps nothing. One call is one try: after an
// error, aws.ErrThrottled among them, nothing has been passed over. Expired iterators are renewed.
func (r *reader) next(ctx context.Context) ([]types.Record, error) {
	if r.iterator == nil {
		if err := r.locate(ctx); err != nil {
			return nil, err
		}
	}
	answer, err := r.read(ctx)
	var expired *types.ExpiredIteratorException
	if errors.As(err, &expired) {
		if err = r.locate(ctx); err == nil {
			answer, err = r.read(ctx)
		}
	}
	if err != nil {
		r.iterator = nil // whatever was wrong with it
		return nil, fmt.Errorf("read %q of %q: %w", r.shard, r.stream, err)
	}
	r.move(answer)
	return answer.Records, nil
}

func (r *reader) read(ctx context.Context) (answer *kinesis.GetRecordsOutput, err error) {
	err = r.client.link.Try(ctx, aws.AnswerTimeout, func(ctx context.Context) (err error) {
		answer, err = r.client.streams.GetRecords(ctx, &kinesis.GetRecordsInput{
			ShardIterator: r.iterator, Limit: &r.limit,
		})
		return err
	})
	return answer, err
}

// locate gets an iterator for where the reader is.
func (r *reader) locate(ctx context.Context) error {
	ask := &kinesis.GetShardIteratorInput{
		StreamName: &r.stream, ShardId: &r.shard,
		ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	}
	if r.after != "" {
		ask.ShardIteratorType = types.ShardIteratorTypeAfterSequenceNumber
		ask.StartingSequenceNumber = &r.after
	}
	err := r.client.link.Try(ctx, aws.AnswerTimeout, func(ctx context.Context) error {
		answer, err := r.client.streams.GetShardIterator(ctx, ask)
		if err == nil {
			r.iterator = answer.ShardIterator
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("find %q of %q: %w", r.shard, r.stream, explain(err))
	}
	return nil
}

// move notes what an answer brought, and how much the next one should.
func (r *reader) move(answer *kinesis.GetRecordsOutput) {
	n := len(answer.Records)
	if n > 0 {
		r.after = *answer.Records[n-1].SequenceNumber
	}
	size := 0
	for i := range answer.Records {
		size += len(answer.Records[i].Data)
	}
	full := n >= int(r.limit)
	r.behind = full || sdk.ToInt64(answer.MillisBehindLatest) > 0
	switch {
	case size > largeRead:
		r.limit = max(1, r.limit/2)
	case full && size < largeRead/2:
		r.limit = min(mostRead, r.limit*2)
	}
	r.iterator, r.ended = answer.NextShardIterator, answer.NextShardIterator == nil
}

// drain reads on to the shard's present end: up to an answer with nothing in it and nothing behind
// it. Found is told of each record.
func (r *reader) drain(ctx context.Context, found func(*types.Record) error) error {
	for n := 1; !r.ended; {
		records, err := r.next(ctx)
		switch {
		case errors.Is(err, aws.ErrThrottled):
			if wait := r.client.link.Pause(ctx, n); wait != nil {
				return errors.Join(wait, err)
			}
			n++
			continue
		case err != nil:
			return err
		case len(records) == 0 && !r.behind:
			return nil
		}
		for i := range records {
			if err := found(&records[i]); err != nil {
				return err
			}
		}
		n = 1
	}
	return nil
}
