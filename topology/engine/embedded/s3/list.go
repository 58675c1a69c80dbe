package s3

import (
	"slices"
	"strings"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// listed is the backend, with a list of a prefix that looks at that prefix's objects alone. The
// backend's own walks the whole bucket, which is much where a client looks for copies of one id.
type listed struct{ *s3mem.Backend }

// ListBucket lists objects by their keys. A list that groups keys is left to the backend.
func (l listed) ListBucket(
	bucket string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage,
) (*gofakes3.ObjectList, error) {
	if prefix == nil || !prefix.HasPrefix || prefix.HasDelimiter || page.MaxKeys <= 0 {
		return l.Backend.ListBucket(bucket, prefix, page)
	}
	before, ok := justBefore(prefix.Prefix)
	if !ok {
		return l.Backend.ListBucket(bucket, prefix, page)
	}
	most := int(page.MaxKeys)
	all, err := l.Backend.ListBucket(bucket, nil, gofakes3.ListBucketPage{
		Marker: max(before, page.Marker), HasMarker: true, MaxKeys: page.MaxKeys + 1,
	})
	if err != nil {
		return nil, err
	}
	end := slices.IndexFunc(all.Contents, func(c *gofakes3.Content) bool {
		return !strings.HasPrefix(c.Key, prefix.Prefix)
	})
	if end < 0 {
		end = len(all.Contents)
	}
	all.IsTruncated, all.NextMarker = end > most, ""
	all.Contents = all.Contents[:min(end, most)]
	if all.IsTruncated {
		all.NextMarker = all.Contents[most-1].Key
	}
	return all, nil
}

// justBefore is a text that comes before all that begin with a prefix, and behind every key before
// those: keys are UTF-8, in which there is no byte 0xff.
func justBefore(prefix string) (text string, ok bool) {
	if prefix == "" || prefix[len(prefix)-1] == 0 {
		return "", false
	}
	last := len(prefix) - 1
	return prefix[:last] + string([]byte{prefix[last] - 1, 0xff}), true
}
