package kinesis

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/google/go-cmp/cmp"
)

// tape is a fake shard of records "1" to "9" that is closed behind the last, throttles each fourth
// read, lets each third iterator expire, and has empty answers on the way, as the service does.
type tape struct{ reads, iterators int }

func (s *tape) read(operation string, body []byte) (int, any) {
	var in struct {
		ShardIterator, ShardIteratorType, StartingSequenceNumber string
		Limit                                                    int
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return http.StatusBadRequest, map[string]string{"__type": "ValidationException"}
	}
	if operation == "GetShardIterator" {
		s.iterators++
		at := 1
		if in.ShardIteratorType == string(types.ShardIteratorTypeAfterSequenceNumber) {
			fmt.Sscan(in.StartingSequenceNumber, &at)
			at++
		}
		return http.StatusOK, map[string]string{"ShardIterator": fmt.Sprint(s.iterators, " ", at)}
	}
	s.reads++
	var iterator, at int
	fmt.Sscan(in.ShardIterator, &iterator, &at)
	switch {
	case s.reads%4 == 0:
		return 400, map[string]string{"__type": "ProvisionedThroughputExceededException"}
	case s.reads%3 == 0:
		return 400, map[string]string{"__type": "ExpiredIteratorException"}
	}
	answer := map[string]any{"MillisBehindLatest": 1000, "Records": []any{}}
	if s.reads%2 == 0 && at <= 9 {
		answer["Records"] = []any{map[string]any{"SequenceNumber": fmt.Sprint(at), "Data": []byte("{}"),
			"PartitionKey": "k"}}
		at++
	}
	if at <= 9 {
		answer["NextShardIterator"] = fmt.Sprint(iterator, " ", at)
	} else {
		answer["MillisBehindLatest"] = 0
	}
	return http.StatusOK, answer
}

func TestReaderPassesNothingOver(t *testing.T) {
	for _, c := range []struct {
		name, after string
		want        []string
	}{
		{"read/from the oldest/all", "", []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"}},
		{"read/behind a checkpoint/the rest", "6", []string{"7", "8", "9"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := faked(t, (&tape{}).read).reader("events", "shardId-000000000000", c.after)
			var got []string
			err := r.drain(t.Context(), func(r *types.Record) error {
				got = append(got, *r.SequenceNumber)
				return nil
			})
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil || !r.ended {
				t.Errorf("%v, ended %v (-want +got):\n%s", err, r.ended, diff)
			}
		})
	}
}
