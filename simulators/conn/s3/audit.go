package s3

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"github.com/faultline-sim/faultline/simulators/conn/httpx"
	"github.com/faultline-sim/faultline/simulators/message"
)

// Audit reads every message of a table, with how many objects it has. Pages of keys are listed,
// then one object of each id is read, several at once; found is called from one goroutine, in the
// order of the keys.
func (c *Client) Audit(
	ctx context.Context, table string, found func(m *message.Message, copies int) error,
) error {
	objects, err := c.list(ctx, table)
	if err != nil {
		return err
	}
	for len(objects) > 0 {
		n := min(len(objects), auditPage)
		if err := c.auditPage(ctx, objects[:n], found); err != nil {
			return err
		}
		objects = objects[n:]
	}
	return nil
}

// List tells the ids of a table, with how many objects each has, and reads none of them.
func (c *Client) List(
	ctx context.Context, table string, found func(id string, copies int) error,
) error {
	objects, err := c.list(ctx, table)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := found(o.id, o.copies); err != nil {
			return err
		}
	}
	return nil
}

// auditPage is how many messages are read before they are passed on.
const auditPage = 512

// stored is one id's objects.
type stored struct {
	id     string
	key    string // of one of them
	copies int
}

func (c *Client) auditPage(
	ctx context.Context, page []*stored, found func(*message.Message, int) error,
) error {
	read := make([]*message.Message, len(page))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, o := range page {
		group.Go(func() (err error) {
			read[i], err = c.read(ctx, o.key)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, m := range read {
		if err := found(m, page[i].copies); err != nil {
			return err
		}
	}
	return nil
}

// list is the ids of a table, in the order of their first keys.
func (c *Client) list(ctx context.Context, table string) ([]*stored, error) {
	ctx, sent := httpx.WithSent(ctx)
	prefix := table + "/"
	var all []*stored
	byID := map[string]*stored{}
	pages := s3.NewListObjectsV2Paginator(c.api, &s3.ListObjectsV2Input{
		Bucket: aws.String(Bucket), Prefix: aws.String(prefix),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list table %q: %w", table, judge(err, sent))
		}
		for _, object := range page.Contents {
			key := aws.ToString(object.Key)
			name := strings.TrimPrefix(key, prefix)
			if strings.Contains(name, "/") {
				continue // of a table below this one
			}
			id, _, _ := cutLast(name, again)
			if o, ok := byID[id]; ok {
				o.copies++
				continue
			}
			o := &stored{id: id, key: key, copies: 1}
			byID[id] = o
			all = append(all, o)
		}
	}
	return all, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
