package sqs_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/aws"
	"github.com/faultline-sim/faultline/simulators/conn/aws/awstest"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
)

// bare is the library by itself over the same proxies.
func bare(b *testing.B, s *conntest.Site) *sdk.Client {
	b.Helper()
	link := aws.NewLink(conn.Config{Dialer: s.Dialer(), Client: "bare"})
	b.Cleanup(func() { link.Close() })
	return sdk.NewFromConfig(link.Config())
}

// BenchmarkPublish compares Publish with a bare loop over the same library, which makes a request a
// message with as few attributes as it can. The ratio of ops is what the client costs.
func BenchmarkPublish(b *testing.B) {
	for _, fifo := range []bool{false, true} {
		ch := plain("bench")
		if fifo {
			ch = keyed("bench")
		}
		b.Run(fmt.Sprintf("client/fifo=%v", fifo), func(b *testing.B) {
			s := awstest.Start(b, "sqs")
			c := client(b, s, "producer")
			declare(b, c, ch)
			b.ResetTimer()
			conntest.EachOf(b, conntest.Publishers, b.N, func(w, i int) error {
				_, err := c.Publish(b.Context(), "bench", conntest.Letter(fmt.Sprint("device", w), int64(i)))
				return err
			})
		})
		b.Run(fmt.Sprintf("bare/fifo=%v", fifo), func(b *testing.B) {
			s := awstest.Start(b, "sqs")
			declare(b, client(b, s, "declarer"), ch)
			api := bare(b, s)
			b.ResetTimer()
			conntest.EachOf(b, conntest.Publishers, b.N, func(w, i int) error {
				m := conntest.Letter(fmt.Sprint("device", w), int64(i))
				in := &sdk.SendMessageInput{
					QueueUrl: new("http://localhost/123456789012/bench"), MessageBody: new(string(m.Data)),
					MessageAttributes: map[string]types.MessageAttributeValue{
						"id": {DataType: new("String"), StringValue: new(m.ID())},
					},
				}
				if fifo {
					in.QueueUrl = new(*in.QueueUrl + ".fifo")
					in.MessageGroupId, in.MessageDeduplicationId = &m.Key, new(m.ID())
				}
				_, err := api.SendMessage(b.Context(), in)
				return err
			})
		})
	}
}

// BenchmarkPublishOne is the time from Publish to its answer with nothing else going on.
func BenchmarkPublishOne(b *testing.B) {
	c := client(b, awstest.Start(b, "sqs"), "producer")
	declare(b, c, plain("bench"))
	conntest.Publish(b, c, "bench", 1, 0, 10)
	b.ResetTimer()
	for i := range b.N {
		if _, err := c.Publish(b.Context(), "bench", conntest.Letter("device", int64(i))); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConsume compares a group of one that settles each delivery with a bare loop that
// receives and removes ten at a time. Time runs from the first message in hand.
func BenchmarkConsume(b *testing.B) {
	fill := func(b *testing.B, c conn.Broker) {
		declare(b, c, plain("bench"))
		conntest.EachOf(b, conntest.Publishers, b.N+1, func(w, i int) error {
			_, err := c.Publish(b.Context(), "bench", conntest.Letter(fmt.Sprint("device", w), int64(i)))
			return err
		})
	}
	b.Run("client", func(b *testing.B) {
		c := client(b, awstest.Start(b, "sqs"), "worker")
		fill(b, c)
		var got sync.WaitGroup
		got.Add(b.N + 1)
		first := sync.OnceFunc(b.ResetTimer)
		subscribe(b, c, "bench", func(d conn.Delivery) {
			first()
			_ = d.Ack(context.Background())
			got.Done()
		})
		got.Wait()
	})
	b.Run("bare", func(b *testing.B) {
		s := awstest.Start(b, "sqs")
		fill(b, client(b, s, "producer"))
		api := bare(b, s)
		url := new("http://localhost/123456789012/bench")
		b.ResetTimer()
		for n := 0; n < b.N+1; {
			got, err := api.ReceiveMessage(b.Context(), &sdk.ReceiveMessageInput{
				QueueUrl: url, MaxNumberOfMessages: 10, WaitTimeSeconds: 1,
				MessageAttributeNames: []string{"All"},
			})
			if err != nil {
				b.Fatal(err)
			}
			in := &sdk.DeleteMessageBatchInput{QueueUrl: url}
			for i, m := range got.Messages {
				in.Entries = append(in.Entries, types.DeleteMessageBatchRequestEntry{
					Id: new(fmt.Sprint(i)), ReceiptHandle: m.ReceiptHandle,
				})
			}
			if n += len(in.Entries); len(in.Entries) == 0 {
				continue
			}
			if _, err := api.DeleteMessageBatch(b.Context(), in); err != nil {
				b.Fatal(err)
			}
		}
	})
}
