package kinesis

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/aws"
	"github.com/faultline-sim/faultline/simulators/conn/life"
)

const (
	// mostBatch is how many records one request may carry. mostBatchBytes is how large it becomes
	// when more than one record is in it, less than the 5 MiB allowed so that slow wires carry it.
	mostBatch      = 500
	mostBatchBytes = 2 << 20
	// lingering is how long a request waits for as many records as travelled in the last one.
	lingering = time.Millisecond
)

// lane carries the records of one stream, one request at a time. A lone record leaves at once;
// records that come while a request is on its way travel together in the next. No request has two
// records of one key, because the service gives no order within one: it may throttle the first
// and write the second.
type lane struct {
	client *Client
	stream string
	full   chan struct{} // capacity 1: as many wait as travelled in the last request

	mu      sync.Mutex
	waiting []*parcel
	sending bool
	company int // records of the last request
}

func (c *Client) lane(stream string) *lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lanes[stream]
	if l == nil {
		l = &lane{client: c, stream: stream, full: make(chan struct{}, 1)}
		c.lanes[stream] = l
	}
	return l
}

// add puts a parcel in the lane; a goroutine sends as long as there are any.
func (l *lane) add(p *parcel) {
	l.mu.Lock()
	l.waiting = append(l.waiting, p)
	begin, full := !l.sending, len(l.waiting) >= l.company
	l.sending = true
	l.mu.Unlock()
	if full {
		select {
		case l.full <- struct{}{}:
		default:
		}
	}
	if begin && !l.client.link.Life().Go(l.send) {
		l.refuse()
	}
}

// refuse answers all that wait in a client that is closed.
func (l *lane) refuse() {
	l.mu.Lock()
	waiting := l.waiting
	l.waiting, l.sending = nil, false
	l.mu.Unlock()
	for _, p := range waiting {
		p.settle(conn.Receipt{}, life.ErrClosed)
	}
}

// withdraw takes a parcel back that is not on its way; one that is will have no further try.
func (l *lane) withdraw(p *parcel) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.left = true
	i := slices.Index(l.waiting, p)
	if i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
	return i >= 0
}

func (l *lane) send() {
	for throttled := 0; ; {
		l.linger()
		batch := l.take()
		if len(batch) == 0 {
			return
		}
		again := l.put(batch)
		if len(again) == 0 {
			throttled = 0
			continue
		}
		l.putBack(again)
		throttled++
		if l.client.link.Pause(l.client.link.Life(), throttled) != nil {
			l.refuse()
			return
		}
	}
}

// linger waits a moment for company: those who were answered together ask again together.
func (l *lane) linger() {
	l.mu.Lock()
	enough := l.company <= 1 || len(l.waiting) >= l.company
	l.mu.Unlock()
	if enough {
		return
	}
	timer := time.NewTimer(lingering)
	defer timer.Stop()
	select {
	case <-l.full:
	case <-timer.C:
	case <-l.client.link.Life().Done():
	}
}

// take is the next request's records; with none, sending is over. What stays keeps its order.
func (l *lane) take() []*parcel {
	l.mu.Lock()
	defer l.mu.Unlock()
	keys := make(map[string]struct{}, len(l.waiting))
	var batch, rest []*parcel
	size := 0
	for _, p := range l.waiting {
		_, twice := keys[*p.entry.PartitionKey]
		keys[*p.entry.PartitionKey] = struct{}{}
		fits := len(batch) == 0 || len(batch) < mostBatch && size+p.size <= mostBatchBytes
		if twice || !fits {
			rest = append(rest, p)
			continue
		}
		batch = append(batch, p)
		size += p.size
	}
	l.waiting, l.company = rest, len(batch)
	l.sending = len(batch) > 0
	return batch
}

// putBack returns throttled records to the place before all that came later.
func (l *lane) putBack(again []*parcel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	again = slices.DeleteFunc(again, func(p *parcel) bool { return p.left })
	l.waiting = append(again, l.waiting...)
}

// put makes one request and settles its records, all but those that were throttled.
func (l *lane) put(batch []*parcel) (again []*parcel) {
	answer, err := l.request(batch)
	if errors.Is(err, aws.ErrThrottled) {
		for _, p := range batch {
			p.err = err
		}
		return batch
	}
	for i, p := range batch {
		if err != nil {
			p.settle(conn.Receipt{}, err)
			continue
		}
		result := &answer.Records[i]
		if p.err = failure(result); errors.Is(p.err, aws.ErrThrottled) {
			again = append(again, p)
			continue
		}
		p.settle(receipt(result), p.err)
	}
	return again
}

func (l *lane) request(batch []*parcel) (answer *kinesis.PutRecordsOutput, err error) {
	entries := make([]types.PutRecordsRequestEntry, len(batch))
	for i, p := range batch {
		entries[i] = p.entry
	}
	link := l.client.link
	err = link.Try(link.Life(), aws.AnswerTimeout, func(ctx context.Context) (err error) {
		answer, err = l.client.streams.PutRecords(ctx, &kinesis.PutRecordsInput{
			StreamName: &l.stream, Records: entries,
		})
		return err
	})
	if err == nil && len(answer.Records) != len(batch) {
		err = fmt.Errorf("%w: %d results for %d records",
			conn.ErrUnknown, len(answer.Records), len(batch))
	}
	return answer, err
}

// failure is why a record of a request that was answered was not written, nil when it was.
func failure(r *types.PutRecordsResultEntry) error {
	if r.ErrorCode == nil || *r.ErrorCode == "" {
		return nil
	}
	text := ""
	if r.ErrorMessage != nil {
		text = *r.ErrorMessage
	}
	mark := aws.Mark(*r.ErrorCode, http.StatusInternalServerError)
	return errors.Join(mark, fmt.Errorf("%s: %s", *r.ErrorCode, text))
}

// receipt says where a record was written.
func receipt(r *types.PutRecordsResultEntry) conn.Receipt {
	if r.ShardId == nil || r.SequenceNumber == nil {
		return conn.Receipt{}
	}
	return conn.Receipt{Partition: shardNumber(*r.ShardId), Offset: offsetOf(*r.SequenceNumber)}
}
