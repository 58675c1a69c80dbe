// Package s3 is the client of object stores: one object a message.
//
// It is used in the run step of load → plan → run → check → report and is the only importer of the
// AWS SDK's S3 client. A message is the object "<table>/<id>" in one bucket; an appended one is
// "<table>/<id>!<unique>". The SDK's own retries are off: trying again is the caller's policy.
package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/httpx"
	"github.com/faultline-sim/faultline/simulators/message"
)

const (
	// Bucket holds the tables of a store.
	Bucket = "faultline"
	// parallel bounds the requests that one call has under way at once.
	parallel = 16
	// again separates an appended copy's unique part from the id. It sorts before all that ids
	// are made of.
	again = "!"
)

// Client is one client of a store. It implements conn.Store.
type Client struct {
	transport *httpx.Transport
	api       *s3.Client
	recall    conn.Recall
}

var _ conn.Store = (*Client)(nil)

// New makes a client; it dials when it is first asked to.
func New(cfg conn.Config) (*Client, error) {
	transport := httpx.NewTransport(cfg.Dialer)
	user, secret := cfg.User, ""
	if user == "" {
		user = "faultline"
	}
	if cfg.Password != nil {
		secret = cfg.Password()
	}
	if secret == "" {
		secret = "faultline"
	}
	return &Client{transport: transport, recall: cfg.Recall, api: s3.New(s3.Options{
		BaseEndpoint:               aws.String("http://localhost"),
		Region:                     "us-east-1",
		UsePathStyle:               true,
		Credentials:                credentials.NewStaticCredentialsProvider(user, secret, ""),
		HTTPClient:                 &http.Client{Transport: httpx.PlainBodies{Next: transport}},
		Retryer:                    aws.NopRetryer{},
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})}, nil
}

// Connect returns when the store answers a list of buckets.
func (c *Client) Connect(ctx context.Context) error {
	if _, err := c.api.ListBuckets(ctx, &s3.ListBucketsInput{}); err != nil {
		return fmt.Errorf("connect to s3: %w", err)
	}
	return nil
}

// Declare makes the bucket; tables are prefixes in it and need no making.
func (c *Client) Declare(ctx context.Context, _ []string) error {
	ctx, sent := httpx.WithSent(ctx)
	_, err := c.api.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(Bucket)})
	var owned *types.BucketAlreadyOwnedByYou
	var exists *types.BucketAlreadyExists
	if err == nil || errors.As(err, &owned) || errors.As(err, &exists) {
		return nil
	}
	return fmt.Errorf("make bucket %q: %w", Bucket, judge(err, sent))
}

// Put writes each message as one object; writing it again replaces it with itself.
func (c *Client) Put(ctx context.Context, table string, ms []*message.Message) error {
	return c.write(ctx, ms, func(id string) string { return key(table, id) })
}

// Append writes each message as an object of its own.
func (c *Client) Append(ctx context.Context, table string, ms []*message.Message) error {
	return c.write(ctx, ms, func(id string) string {
		return key(table, id) + again + strings.ToLower(rand.Text())
	})
}

// write puts all objects, several at once. When some were written and others not, the outcome of
// the whole is unknown.
func (c *Client) write(
	ctx context.Context, ms []*message.Message, keyOf func(id string) string,
) error {
	if len(ms) == 1 {
		return c.writeOne(ctx, keyOf(ms[0].ID()), ms[0])
	}
	errs := make([]error, len(ms))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, m := range ms {
		group.Go(func() error {
			errs[i] = c.writeOne(ctx, keyOf(m.ID()), m)
			return errs[i]
		})
	}
	first := group.Wait()
	for _, err := range errs {
		if first != nil && err == nil && !errors.Is(first, conn.ErrUnknown) {
			return fmt.Errorf("%w of some of %d objects: %w", conn.ErrUnknown, len(ms), first)
		}
	}
	for _, err := range errs {
		if errors.Is(err, conn.ErrUnknown) {
			return err
		}
	}
	return first
}

func (c *Client) writeOne(ctx context.Context, key string, m *message.Message) error {
	body, err := m.Structured()
	if err != nil {
		return err
	}
	ctx, sent := httpx.WithSent(ctx)
	_, err = c.api.PutObject(ctx, &s3.PutObjectInput{
		Bucket:        aws.String(Bucket),
		Key:           aws.String(key),
		Body:          bytes.NewReader(body),
		ContentLength: aws.Int64(int64(len(body))),
		ContentType:   aws.String(message.StructuredContentType),
	})
	if err != nil {
		return fmt.Errorf("put object %q: %w", key, judge(err, sent))
	}
	return nil
}

// Get reads one message; of appended ones any copy.
func (c *Client) Get(ctx context.Context, table, id string) (*message.Message, error) {
	m, err := c.read(ctx, key(table, id))
	if !errors.Is(err, conn.ErrNotFound) {
		return m, err
	}
	ctx, sent := httpx.WithSent(ctx)
	page, err := c.api.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket:  aws.String(Bucket),
		Prefix:  aws.String(key(table, id) + again),
		MaxKeys: aws.Int32(1),
	})
	if err != nil {
		return nil, fmt.Errorf("list copies of %q: %w", id, judge(err, sent))
	}
	if len(page.Contents) == 0 {
		return nil, fmt.Errorf("get %q of %q: %w", id, table, conn.ErrNotFound)
	}
	return c.read(ctx, aws.ToString(page.Contents[0].Key))
}

func (c *Client) read(ctx context.Context, key string) (*message.Message, error) {
	ctx, sent := httpx.WithSent(ctx)
	object, err := c.api.GetObject(ctx, &s3.GetObjectInput{
		Bucket: aws.String(Bucket), Key: aws.String(key),
	})
	var missing *types.NoSuchKey
	if errors.As(err, &missing) {
		return nil, fmt.Errorf("get object %q: %w", key, conn.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("get object %q: %w", key, judge(err, sent))
	}
	defer object.Body.Close()
	body, err := io.ReadAll(object.Body)
	if err != nil {
		return nil, fmt.Errorf("get object %q: %w: %w", key, conn.ErrUnknown, err)
	}
	m, err := message.FromStructured(body)
	if m, err = c.recall.Otherwise(m, err, body); err != nil {
		return nil, fmt.Errorf("get object %q: %w", key, err)
	}
	return m, nil
}

// Close cuts all connections and returns when none is left.
func (c *Client) Close() error { return c.transport.Close() }

// judge marks an error as unknown when a request was written and the store did not answer it.
func judge(err error, sent *httpx.Sent) error {
	var answered smithy.APIError
	if errors.As(err, &answered) || !sent.Begun() {
		return err
	}
	return fmt.Errorf("%w: %w", conn.ErrUnknown, err)
}

// key is where a message's object is. A slash in an id would be a table of its own.
func key(table, id string) string {
	return table + "/" + inKey.Replace(id)
}

var inKey = strings.NewReplacer("%", "%25", "/", "%2F")
