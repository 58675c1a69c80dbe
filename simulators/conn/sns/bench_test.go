package sns_test

import (
	"fmt"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/aws"
	"github.com/faultline-sim/faultline/simulators/conn/aws/awstest"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
)

// BenchmarkPublish compares Publish with a bare loop over the same library, which makes a request a
// message with as few attributes as it can. The ratio of ops is what the client costs.
func BenchmarkPublish(b *testing.B) {
	ch := channel("bench", "device", "worker")
	b.Run("client", func(b *testing.B) {
		c := client(b, awstest.Start(b, "sns"), "producer", nil)
		declare(b, c, ch)
		b.ResetTimer()
		conntest.EachOf(b, conntest.Publishers, b.N, func(w, i int) error {
			_, err := c.Publish(b.Context(), "bench", conntest.Letter(fmt.Sprint("device", w), int64(i)))
			return err
		})
	})
	b.Run("bare", func(b *testing.B) {
		s := awstest.Start(b, "sns")
		declare(b, client(b, s, "declarer", nil), ch)
		link := aws.NewLink(conn.Config{Dialer: s.Dialer(), Client: "bare"})
		defer link.Close()
		api := sdk.NewFromConfig(link.Config())
		b.ResetTimer()
		conntest.EachOf(b, conntest.Publishers, b.N, func(w, i int) error {
			m := conntest.Letter(fmt.Sprint("device", w), int64(i))
			_, err := api.Publish(b.Context(), &sdk.PublishInput{
				TopicArn: new("arn:aws:sns:us-east-1:123456789012:bench.fifo"),
				Message:  new(string(m.Data)), MessageGroupId: &m.Key, MessageDeduplicationId: new(m.ID()),
				MessageAttributes: map[string]types.MessageAttributeValue{
					"id": {DataType: new("String"), StringValue: new(m.ID())},
				},
			})
			return err
		})
	})
}
