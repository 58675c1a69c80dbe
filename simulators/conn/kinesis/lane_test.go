package kinesis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/aws"
	"github.com/faultline-sim/faultline/simulators/conn/life"
)

// putAll puts messages of a few keys into a lane in order, as a caller does that waits for none,
// and waits for all.
func putAll(t *testing.T, c *Client, keys, each int) {
	t.Helper()
	l := c.lane("events")
	var all []*parcel
	for n := range each {
		for k := range keys {
			p, err := c.parcel(letter(fmt.Sprint("k", k), int64(n)))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
			l.add(p)
		}
	}
	for _, p := range all {
		<-p.done
		if p.err != nil {
			t.Error(p.err)
		}
	}
}

// numbersOf are the written messages of a key, in order.
func numbersOf(written []string, key string) []string {
	return slices.DeleteFunc(slices.Clone(written), func(id string) bool {
		return !strings.HasPrefix(id, "f-"+key+"-")
	})
}

func TestThrottledRecordsAreNotOvertaken(t *testing.T) {
	tries := map[string]int{}
	s := &shard{throttle: func(key string) bool {
		tries[key]++
		return tries[key]%3 != 0 // two of three
	}}
	c := faked(t, s.put)
	const keys, each = 5, 4
	putAll(t, c, keys, each)
	for k := range keys {
		key := fmt.Sprint("k", k)
		var want []string
		for n := range each {
			want = append(want, letter(key, int64(n)).ID())
		}
		if diff := cmp.Diff(want, numbersOf(s.written, key)); diff != "" {
			t.Errorf("key %s (-sent +written):\n%s", key, diff)
		}
	}
}

func TestRequestHasEachKeyOnceAndAtMost500(t *testing.T) {
	s := &shard{}
	putAll(t, faked(t, s.put), 700, 3)
	for _, keys := range s.batches {
		slices.Sort(keys)
		if n := len(slices.Compact(slices.Clone(keys))); n != len(keys) || n > mostBatch {
			t.Errorf("a request has %d records of %d keys", len(keys), n)
		}
	}
	if len(s.written) != 2100 {
		t.Errorf("%d written", len(s.written))
	}
}

func TestPublish(t *testing.T) {
	t.Run("stream/takes the record/its place", func(t *testing.T) {
		c := faked(t, (&shard{}).put)
		got, err := c.Publish(t.Context(), "events", letter("a", 1))
		if diff := cmp.Diff(conn.Receipt{Partition: 7, Offset: 1}, got); diff != "" || err != nil {
			t.Error(err, diff)
		}
	})
	t.Run("stream/throttles until the deadline/certainly not written", func(t *testing.T) {
		s := &shard{throttle: func(string) bool { return true }}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := faked(t, s.put).Publish(ctx, "events", letter("a", 1))
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, aws.ErrThrottled) ||
			errors.Is(err, conn.ErrUnknown) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("stream/fails inside/unknown", func(t *testing.T) {
		fail := func(string, []byte) (int, any) {
			return 200, map[string]any{"Records": []map[string]string{{"ErrorCode": "InternalFailure"}}}
		}
		_, err := faked(t, fail).Publish(t.Context(), "events", letter("a", 1))
		if !errors.Is(err, conn.ErrUnknown) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("request/as a whole throttled once/written", func(t *testing.T) {
		s, once := &shard{}, sync.Once{}
		c := faked(t, func(operation string, body []byte) (status int, answer any) {
			once.Do(func() {
				status, answer = 400, map[string]string{"__type": "LimitExceededException"}
			})
			if status != 0 {
				return status, answer
			}
			return s.put(operation, body)
		})
		if _, err := c.Publish(t.Context(), "events", letter("a", 1)); err != nil || len(s.written) != 1 {
			t.Errorf("%d written, %v", len(s.written), err)
		}
	})
	t.Run("client/closed/certainly not written", func(t *testing.T) {
		c := faked(t, (&shard{}).put)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		_, err := c.Publish(t.Context(), "events", letter("a", 1))
		if !errors.Is(err, life.ErrClosed) || errors.Is(err, conn.ErrUnknown) {
			t.Errorf("error %v", err)
		}
	})
}
