package kinesis

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
)

// fake answers a client's requests in place of the service: it is given the operation's name and
// the request's body, and returns the answer's status and what its body is made of.
type fake func(operation string, body []byte) (status int, answer any)

func (f fake) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	status, answer := f(operation, body)
	written, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: status, Request: r, ContentLength: int64(len(written)),
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		Body:   io.NopCloser(bytes.NewReader(written)),
	}, nil
}

// nowhere is a wire that no request goes over.
type nowhere struct{}

func (nowhere) Dial(context.Context) (net.Conn, error) { return nil, net.ErrClosed }
func (nowhere) DialAddr(context.Context, string, string) (net.Conn, error) {
	return nil, net.ErrClosed
}
func (nowhere) Next() string        { return "" }
func (nowhere) Endpoints() []string { return nil }
func (nowhere) Wire() topology.Wire { return topology.Wire{From: "client", To: "stream"} }

// faked is a client whose requests go to a fake.
func faked(t *testing.T, f fake) *Client {
	c := New(conn.Config{Client: "test", Dialer: nowhere{}})
	t.Cleanup(func() { c.Close() })
	config := c.link.Config()
	c.streams = kinesis.NewFromConfig(config, func(o *kinesis.Options) { o.HTTPClient = f })
	return c
}

// shard is a fake stream of one shard that throttles as it is told.
type shard struct {
	throttle func(key string) bool

	mu      sync.Mutex
	batches [][]string // keys, by request
	written []string   // data's message ids, in order
}

func (s *shard) put(operation string, body []byte) (int, any) {
	var in struct {
		Records []struct {
			PartitionKey string
			Data         []byte
		}
	}
	if err := json.Unmarshal(body, &in); err != nil || operation != "PutRecords" {
		return http.StatusBadRequest, map[string]string{"__type": "ValidationException"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var results []map[string]string
	var keys []string
	for _, r := range in.Records {
		keys = append(keys, r.PartitionKey)
		if s.throttle != nil && s.throttle(r.PartitionKey) {
			results = append(results, map[string]string{
				"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "rate exceeded",
			})
			continue
		}
		m, err := message.FromStructured(r.Data)
		if err != nil {
			return http.StatusBadRequest, map[string]string{"__type": "ValidationException"}
		}
		s.written = append(s.written, m.ID())
		results = append(results, map[string]string{
			"ShardId": "shardId-000000000007", "SequenceNumber": fmt.Sprint(len(s.written)),
		})
	}
	s.batches = append(s.batches, keys)
	return http.StatusOK, map[string]any{"FailedRecordCount": 0, "Records": results}
}

func letter(key string, n int64) *message.Message {
	return &message.Message{Flow: "f-" + key, Number: n, Source: "test", Key: key, KeySeq: n,
		ParentNumber: -1, Data: []byte(`{}`)}
}
