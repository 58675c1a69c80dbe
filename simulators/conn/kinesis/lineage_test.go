package kinesis

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/google/go-cmp/cmp"
)

// family are shards by id: "0" was split into "1" and "2", "2" and "3" were merged into "4", and
// the parent of "5" is no longer kept.
func family() []types.Shard {
	shard := func(id string, parents ...string) types.Shard {
		s := types.Shard{ShardId: &id}
		if len(parents) > 0 {
			s.ParentShardId = &parents[0]
		}
		if len(parents) > 1 {
			s.AdjacentParentShardId = &parents[1]
		}
		return s
	}
	return []types.Shard{
		shard("0"), shard("1", "0"), shard("2", "0"), shard("3"), shard("4", "2", "3"),
		shard("5", "gone"),
	}
}

func TestReadable(t *testing.T) {
	for _, c := range []struct {
		name  string
		ended []string
		want  []string
	}{
		{"shards/nothing read/those without parents", nil, []string{"0", "3", "5"}},
		{"split/parent read/both children", []string{"0"}, []string{"1", "2", "3", "5"}},
		{"merge/one parent read/not the child", []string{"0", "2"}, []string{"1", "3", "5"}},
		{"merge/both parents read/the child", []string{"0", "2", "3"}, []string{"1", "4", "5"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ended := map[string]bool{}
			for _, id := range c.ended {
				ended[id] = true
			}
			if diff := cmp.Diff(c.want, readable(family(), ended)); diff != "" {
				t.Error(diff)
			}
			if outdated(family(), ended) {
				t.Error("the list has all children")
			}
		})
	}
}

func TestOutdated(t *testing.T) {
	if !outdated(nil, nil) {
		t.Error("nothing is known")
	}
	if !outdated(family(), map[string]bool{"1": true}) {
		t.Error("a shard has ended and its children are not in the list")
	}
}
