package kafka

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/listoffsets"

	"github.com/faultline-sim/faultline/simulators/conn/conntest"
)

// TestOffsetsByLeader splits requests for offsets: "e0" is the end of partition 0, "b0" its begin.
func TestOffsetsByLeader(t *testing.T) {
	known := protocol.Cluster{Topics: map[string]protocol.Topic{"events": {
		Partitions: map[int32]protocol.Partition{0: {Leader: 1}, 1: {Leader: 2}, 2: {Leader: 1}},
	}}}
	for name, c := range map[string]struct {
		asked string
		want  []string
	}{
		"offsets/nothing asked/no request":           {"", nil},
		"offsets/one leader/one request":             {"e0 e2", []string{"e0 e2"}},
		"offsets/two leaders/one request each":       {"e0 e1 e2", []string{"e0 e2", "e1"}},
		"offsets/begin and end/not in one request":   {"b0 e0 b2 e2", []string{"b0 b2", "e0 e2"}},
		"offsets/begin of some/in with others' ends": {"b0 e0 e2", []string{"b0 e2", "e0"}},
		"offsets/leader unknown/by itself":           {"b7 e0 e7", []string{"b7", "e0", "e7"}},
	} {
		t.Run(name, func(t *testing.T) {
			req := &listoffsets.Request{ReplicaID: -1}
			for _, one := range strings.Fields(c.asked) {
				p := listoffsets.RequestPartition{Partition: int32(one[1] - '0'), Timestamp: kafka.LastOffset}
				if one[0] == 'b' {
					p.Timestamp = kafka.FirstOffset
				}
				ask(req, "events", p)
			}
			messages, _, err := byLeader{req}.Split(known)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range messages {
				got = append(got, inWords(m.(*listoffsets.Request)))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func inWords(r *listoffsets.Request) string {
	var all []string
	for _, topic := range r.Topics {
		for _, p := range topic.Partitions {
			letter := "e"
			if p.Timestamp == kafka.FirstOffset {
				letter = "b"
			}
			all = append(all, fmt.Sprint(letter, p.Partition))
		}
	}
	return strings.Join(all, " ")
}

// TestDepthInFewRequests reads the depth of a topic of one leader, with nothing committed: the begin
// of its partition, and the end.
func TestDepthInFewRequests(t *testing.T) {
	c, s := spiedClient(t, nil)
	conntest.Publish(t, c, "events", 1, 0, 3)
	depth, err := c.Depth(t.Context(), "events", "nobody")
	if err != nil || depth != 3 {
		t.Errorf("depth %d, %v", depth, err)
	}
	if n := s.count(protocol.ListOffsets); n != 2 {
		t.Errorf("%d requests for offsets", n)
	}
}
