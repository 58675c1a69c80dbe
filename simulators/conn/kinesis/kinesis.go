// Package kinesis is the Amazon Kinesis client: the AWS SDK over a wire, for streams and for the
// lease tables in DynamoDB by which the members of a consumer group share a stream's shards.
//
// It is used in the run step of load → plan → run → check → report. It promises that Publish
// returns when the stream has the record, that records of one key are written in the order of the
// calls, that one try is one request (only answers that say "nothing was written" are tried
// again), that a shard is read by one member of a group at a time, a child only after all its
// parents, and that a checkpoint is written only when all up to it is settled. It may not import
// an engine or the fabric's making. It is the only importer of the SDK's clients for Kinesis and
// DynamoDB.
//
// Source: Amazon Kinesis Data Streams API reference; the Amazon Kinesis Client Library's lease
// table. CloudEvents has no binding for Kinesis: see bind.go.
package kinesis

import (
	"context"
	"sync"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/aws"
)

// Client is one Kinesis client. It implements conn.Broker and conn.Crasher.
type Client struct {
	cfg     conn.Config
	link    *aws.Link
	streams *kinesis.Client
	tables  *dynamodb.Client

	mu       sync.Mutex
	lanes    map[string]*lane    // by stream
	backlogs map[string]*backlog // by stream
}

// New makes a client; it connects when it is first used.
func New(cfg conn.Config) *Client {
	link := aws.NewLink(cfg)
	return &Client{
		cfg:      cfg,
		link:     link,
		streams:  kinesis.NewFromConfig(link.Config()),
		tables:   dynamodb.NewFromConfig(link.Config()),
		lanes:    map[string]*lane{},
		backlogs: map[string]*backlog{},
	}
}

// Connect returns when the service has answered a request for the list of streams.
func (c *Client) Connect(ctx context.Context) error {
	return c.link.Connect(ctx, func(ctx context.Context) error {
		_, err := c.streams.ListStreams(ctx, &kinesis.ListStreamsInput{Limit: sdk.Int32(1)})
		return err
	})
}

// ask makes a request that may be made again, until it is not throttled.
func (c *Client) ask(ctx context.Context, request func(context.Context) error) error {
	return c.link.Insist(ctx, aws.AnswerTimeout, request)
}

// Close gives up the shards that the client holds, writing how far they are settled, and returns
// when nothing of the client is left. It may not be called from within a subscription's Handle.
func (c *Client) Close() error {
	return c.link.Close()
}

// Crash ends the client at once: it gives nothing up, and the others of its groups notice when its
// sign of life stays away.
func (c *Client) Crash() {
	c.link.Crash()
}

var (
	_ conn.Broker  = (*Client)(nil)
	_ conn.Crasher = (*Client)(nil)
)
