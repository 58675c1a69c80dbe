package kinesis_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/simulators/conn/kinesis"
	"github.com/faultline-sim/faultline/simulators/message"
)

// bare is the library's own client over the same proxy.
func bare(s *conntest.Site) *sdk.Client {
	dialer := s.Dialer()
	return sdk.New(sdk.Options{
		BaseEndpoint: aws.String("http://localhost"), Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("faultline", "faultline", ""),
		Retryer:     aws.NopRetryer{},
		HTTPClient: &http.Client{Transport: &http.Transport{
			MaxIdleConnsPerHost: 1024,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.Dial(ctx)
			},
		}},
	})
}

// BenchmarkPublish compares Publish with bare PutRecord calls that carry the same records, over the
// same proxy. The ratio of ops is what the client costs.
func BenchmarkPublish(b *testing.B) {
	for _, workers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("client-%d", workers), func(b *testing.B) {
			s := start(b)
			c := client(b, s, "producer", 6)
			b.ResetTimer()
			conntest.EachOf(b, workers, b.N, func(w, i int) error {
				_, err := c.Publish(b.Context(), "events", conntest.Letter(fmt.Sprint("device", w), int64(i)))
				return err
			})
		})
		b.Run(fmt.Sprintf("bare-%d", workers), func(b *testing.B) {
			s := start(b)
			client(b, s, "declarer", 6).Close()
			c := bare(s)
			b.ResetTimer()
			conntest.EachOf(b, workers, b.N, func(w, i int) error {
				m := conntest.Letter(fmt.Sprint("device", w), int64(i))
				data, err := m.Structured()
				if err != nil {
					return err
				}
				_, err = c.PutRecord(b.Context(), &sdk.PutRecordInput{
					StreamName: aws.String("events"), PartitionKey: &m.Key, Data: data,
				})
				return err
			})
		})
	}
}

// BenchmarkConsume compares a group of one that settles each delivery with a bare loop that reads
// each envelope and writes no checkpoint. Time runs from the first record in hand.
func BenchmarkConsume(b *testing.B) {
	b.Run("client", func(b *testing.B) {
		s := start(b)
		c := client(b, s, "worker", 1)
		fill(b, c, b.N+1)
		var got sync.WaitGroup
		got.Add(b.N + 1)
		first := sync.OnceFunc(b.ResetTimer)
		err := c.Subscribe(b.Context(), conn.Subscription{
			Channel: "events", Group: "worker", Prefetch: 1000, Handle: func(d conn.Delivery) {
				first()
				_ = d.Ack(context.Background())
				got.Done()
			},
		})
		if err != nil {
			b.Fatal(err)
		}
		got.Wait()
		b.StopTimer()
	})
	b.Run("bare", func(b *testing.B) {
		s := start(b)
		fill(b, client(b, s, "producer", 1), b.N+1)
		c := bare(s)
		at, err := c.GetShardIterator(b.Context(), &sdk.GetShardIteratorInput{
			StreamName: aws.String("events"), ShardId: aws.String("shardId-000000000000"),
			ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
		})
		if err != nil {
			b.Fatal(err)
		}
		next := at.ShardIterator
		for n := 0; n < b.N+1; {
			answer, err := c.GetRecords(b.Context(), &sdk.GetRecordsInput{
				ShardIterator: next, Limit: aws.Int32(1000),
			})
			if err != nil {
				b.Fatal(err)
			}
			if n == 0 {
				b.ResetTimer()
			}
			for i := range answer.Records {
				if _, err := message.FromStructured(answer.Records[i].Data); err != nil {
					b.Fatal(err)
				}
			}
			n, next = n+len(answer.Records), answer.NextShardIterator
		}
		b.StopTimer()
	})
}

func fill(b *testing.B, c *kinesis.Client, n int) {
	b.Helper()
	conntest.EachOf(b, 256, n, func(w, i int) error {
		_, err := c.Publish(b.Context(), "events", conntest.Letter(fmt.Sprint("device", w), int64(i)))
		return err
	})
}
