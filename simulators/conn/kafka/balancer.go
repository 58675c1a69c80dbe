package kafka

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
)

// balancer is the library's range balancer, with the members of a group in the order of their
// clients, and partitions in that of their numbers. The library puts them in the order of the ids that the broker gives them, which are
// random: which client gets which partitions would be too.
type balancer struct {
	kafka.RangeGroupBalancer
	client string
	since  time.Time // when it subscribed: one that crashed may be a member still
}

// UserData tells the group's leader which client a member is, and since when.
func (b balancer) UserData() ([]byte, error) {
	return binary.BigEndian.AppendUint64([]byte(b.client+"\x00"), uint64(b.since.UnixNano())), nil
}

// AssignGroups gives each member of a topic its range of the partitions, by the order of clients;
// members that are no clients of this package have no name, and go by their ids.
func (b balancer) AssignGroups(
	members []kafka.GroupMember, partitions []kafka.Partition,
) kafka.GroupMemberAssignments {
	members, partitions = slices.Clone(members), slices.Clone(partitions)
	slices.SortFunc(partitions, func(a, b kafka.Partition) int { // a broker may tell them in any order
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(members, func(a, b kafka.GroupMember) int {
		return cmp.Or(slices.Compare(a.UserData, b.UserData), cmp.Compare(a.ID, b.ID))
	})
	// The library sorts by id once more, so each is given one that says its place.
	ids := map[string]string{}
	for i := range members {
		place := string([]byte{byte(i >> 16), byte(i >> 8), byte(i)})
		ids[place], members[i].ID = members[i].ID, place
	}
	assigned := kafka.GroupMemberAssignments{}
	for place, topics := range b.RangeGroupBalancer.AssignGroups(members, partitions) {
		assigned[ids[place]] = topics
	}
	return assigned
}
