package s3

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// TestListIsThatOfTheBackend pages through lists of prefixes, here and by the backend's own walk.
func TestListIsThatOfTheBackend(t *testing.T) {
	objects := s3mem.New()
	if err := objects.CreateBucket("b"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		"a", "records", "records/", "records/1", "records/1!x", "records/1!y", "records/10",
		"records/1\u00ff", "records/2", "records0", "z",
	} {
		if _, err := objects.PutObject("b", key, nil, strings.NewReader(key), int64(len(key)), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, prefix := range []string{"records/1!", "records/", "records/1", "records", "z", "none", "a"} {
		for most := range int64(5) {
			t.Run(fmt.Sprint(prefix, " by ", most+1), func(t *testing.T) {
				want := paged(t, objects, prefix, most+1)
				if diff := cmp.Diff(want, paged(t, listed{objects}, prefix, most+1)); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// paged are the keys of all pages, one page after the other.
func paged(t *testing.T, b gofakes3.Backend, prefix string, most int64) (keys []string) {
	t.Helper()
	for page := (gofakes3.ListBucketPage{MaxKeys: most}); ; {
		list, err := b.ListBucket("b", &gofakes3.Prefix{Prefix: prefix, HasPrefix: true}, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list.Contents {
			if slices.Contains(keys, c.Key) {
				t.Fatalf("%q is listed twice", c.Key)
			}
			keys = append(keys, c.Key)
		}
		if !list.IsTruncated {
			return keys
		}
		page.Marker, page.HasMarker = list.NextMarker, true
	}
}
