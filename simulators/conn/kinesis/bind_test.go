package kinesis

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOffsetGrowsWithinAShard(t *testing.T) {
	for _, sequences := range [][]string{
		{"1", "2", "10", "9223372036854775807"},
		{ // two records of one shard of the service itself
			"49590338271490256608559692538361571095921575989136588898",
			"49590338271490256608559692540925702759324208523137515618",
		},
	} {
		if !slices.IsSortedFunc(sequences, compareSequences) {
			t.Errorf("%v are not in order", sequences)
		}
		for i := 1; i < len(sequences); i++ {
			if a, b := offsetOf(sequences[i-1]), offsetOf(sequences[i]); a >= b || a < 0 {
				t.Errorf("%s is %d, %s is %d", sequences[i-1], a, sequences[i], b)
			}
		}
	}
}

func TestPartitionKey(t *testing.T) {
	long := letter(strings.Repeat("ü", 257), 1)
	got := []string{
		partitionKey(letter("a", 1)),
		partitionKey(letter("", 1)),
		partitionKey(letter(strings.Repeat("ü", 256), 1)),
	}
	want := []string{"a", letter("", 1).ID(), strings.Repeat("ü", 256)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if key := partitionKey(long); len(key) != 64 || key != partitionKey(long) {
		t.Errorf("a long key is %q", key)
	}
}

func TestShardNumber(t *testing.T) {
	got := []int32{shardNumber("shardId-000000000012"), shardNumber("shardId-0"), shardNumber("x")}
	if diff := cmp.Diff([]int32{12, 0, -1}, got); diff != "" {
		t.Error(diff)
	}
}
