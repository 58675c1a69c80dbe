package kinesis

import "github.com/aws/aws-sdk-go-v2/service/kinesis/types"

// readable are the shards that a group may take from now: those that it has not read to their end,
// but all of whose parents it has. A parent that is no longer kept counts as read. So a key's
// records are taken in order also when they move from one shard to another.
func readable(shards []types.Shard, ended map[string]bool) []string {
	kept := make(map[string]bool, len(shards))
	for i := range shards {
		kept[*shards[i].ShardId] = true
	}
	open := func(parent *string) bool {
		return parent != nil && kept[*parent] && !ended[*parent]
	}
	var parts []string
	for i := range shards {
		s := &shards[i]
		if !ended[*s.ShardId] && !open(s.ParentShardId) && !open(s.AdjacentParentShardId) {
			parts = append(parts, *s.ShardId)
		}
	}
	return parts
}

// outdated says that a shard has ended without a child in the list: the list is older than the
// child.
func outdated(shards []types.Shard, ended map[string]bool) bool {
	parents := make(map[string]bool, len(shards))
	for i := range shards {
		for _, p := range []*string{shards[i].ParentShardId, shards[i].AdjacentParentShardId} {
			if p != nil {
				parents[*p] = true
			}
		}
	}
	for i := range shards {
		if id := *shards[i].ShardId; ended[id] && !parents[id] {
			return true
		}
	}
	return len(shards) == 0
}
