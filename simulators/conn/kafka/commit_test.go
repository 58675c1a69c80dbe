package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/conntest"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	cluster "github.com/faultline-sim/faultline/topology/engine/embedded/kafka"
)

// spiedClient is connected through a spy to a broker of its own, with one partition of "events".
func spiedClient(t *testing.T, commit func(answer []byte)) (*Client, *spy) {
	t.Helper()
	site := conntest.Start(t, cluster.New, engine.Config{Node: &topology.Node{Name: "stream"}})
	s := &spy{Dialer: site.Dialer(), commit: commit}
	c := New(conn.Config{Dialer: s, Client: "worker"})
	t.Cleanup(func() { c.Close() })
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := c.Declare(t.Context(), []*topology.Channel{{Ref: "stream/events", Parallel: 1}})
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

// settled is a membership whose first message is settled and not committed.
func settled(c *Client, gen *kafka.Generation) *membership {
	gen.Assignments = map[string][]kafka.PartitionAssignment{"events": {{ID: 0}}}
	m := newMembership(&subscription{client: c, topic: "events"}, gen)
	m.shares[0].progress.begin(0)
	m.shares[0].progress.settle(0)
	return m
}

// TestLateCommit wants the group to live on while an answer to a commit does not come.
func TestLateCommit(t *testing.T) {
	held, release := make(chan struct{}, 100), make(chan struct{})
	c, s := spiedClient(t, func([]byte) {
		held <- struct{}{}
		<-release
	})
	answer := sync.OnceFunc(func() { close(release) })
	defer answer()
	conntest.Subscribe(t, c, func(d conn.Delivery) { _ = d.Ack(context.Background()) })
	conntest.Publish(t, c, "events", 1, 0, 1)
	conntest.Receive(t, held)
	before, joins := s.count(protocol.Heartbeat), s.count(protocol.JoinGroup)
	const more = 4
	conntest.Eventually(t, "heartbeats beside a commit without an answer", func() (any, bool) {
		n := s.count(protocol.Heartbeat) - before
		return n, n >= more
	})
	if n := s.count(protocol.OffsetCommit); n != 1 {
		t.Errorf("%d commits on their way at once", n)
	}
	if n := s.count(protocol.JoinGroup); n != joins {
		t.Errorf("the group was joined again: %d times, before %d", n, joins)
	}
	for _, asked := range s.requests() {
		if asked[protocol.OffsetCommit] > 0 && asked[protocol.Heartbeat] > 0 {
			t.Errorf("commits and heartbeats go over one connection: %v", asked)
		}
	}
	answer()
	conntest.DepthIs(t, c, "events", "worker", 0)
}

// TestCommit commits for a group of one, and for one that has ended.
func TestCommit(t *testing.T) {
	c, _ := spiedClient(t, nil)
	conntest.Subscribe(t, c, func(conn.Delivery) {})
	conntest.Publish(t, c, "events", 1, 0, 1)
	described, err := c.client().DescribeGroups(t.Context(), &kafka.DescribeGroupsRequest{
		GroupIDs: []string{"worker"},
	})
	if err != nil {
		t.Fatal(err)
	}
	member := described.Groups[0].Members[0].MemberID
	for name, k := range map[string]struct {
		group, member string
		generation    int32
		want          error
		depth         int64
	}{
		"commit/generation has ended/refused":   {"worker", member, 99, kafka.IllegalGeneration, 1},
		"commit/member was put out/refused":     {"worker", "other", 1, kafka.UnknownMemberId, 1},
		"commit/group is empty/refused":         {"empty", "other", 1, kafka.IllegalGeneration, 1},
		"commit/outside of generations/written": {"free", "", -1, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := settled(c, &kafka.Generation{GroupID: k.group, MemberID: k.member, ID: k.generation})
			if err := m.commit(t.Context()); !errors.Is(err, k.want) {
				t.Errorf("got %v, want %v", err, k.want)
			}
			if _, more := m.shares[0].progress.uncommitted(); more != (k.want != nil) {
				t.Errorf("to be committed still: %v", more)
			}
			conntest.DepthIs(t, c, "events", k.group, k.depth)
		})
	}
}

// TestCommitElsewhere wants another try where the coordinator has moved.
func TestCommitElsewhere(t *testing.T) {
	answers := 0
	c, s := spiedClient(t, func(answer []byte) {
		if answers++; answers == 1 { // the error stands at the end, for the only partition
			binary.BigEndian.PutUint16(answer[len(answer)-2:], uint16(kafka.NotCoordinatorForGroup))
		}
	})
	conntest.Publish(t, c, "events", 1, 0, 1)
	m := settled(c, &kafka.Generation{GroupID: "free", ID: -1})
	if err := m.commit(t.Context()); err != nil {
		t.Error(err)
	}
	if n := s.count(protocol.OffsetCommit); n != 2 {
		t.Errorf("%d tries", n)
	}
	if n := s.count(protocol.FindCoordinator); n != 2 {
		t.Errorf("the coordinator was asked for %d times, want once and after the refusal", n)
	}
}

// TestCoordinatorIsKnown wants the coordinator asked for once, for commits and depths of a group.
func TestCoordinatorIsKnown(t *testing.T) {
	c, s := spiedClient(t, nil)
	conntest.Publish(t, c, "events", 1, 0, 3)
	m := settled(c, &kafka.Generation{GroupID: "free", ID: -1})
	for offset := range int64(3) {
		if offset > 0 {
			m.shares[0].progress.begin(offset)
			m.shares[0].progress.settle(offset)
		}
		if err := m.commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		conntest.DepthIs(t, c, "events", "free", 2-offset)
	}
	if n := s.count(protocol.FindCoordinator); n != 1 {
		t.Errorf("the coordinator was asked for %d times", n)
	}
}

func TestRefusals(t *testing.T) {
	for name, k := range map[string]struct {
		errs []error // by partition
		want string
	}{
		"commit/all partitions written/no error": {[]error{nil, nil}, ""},
		"commit/one partition refused/told": {[]error{nil, kafka.RebalanceInProgress},
			"commit events partition 1: " + kafka.RebalanceInProgress.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			answer := &kafka.OffsetCommitResponse{Topics: map[string][]kafka.OffsetCommitPartition{}}
			for i, err := range k.errs {
				answer.Topics["events"] = append(answer.Topics["events"],
					kafka.OffsetCommitPartition{Partition: i, Error: err})
			}
			got := ""
			if err := refusals(answer); err != nil {
				got = err.Error()
			}
			if got != k.want {
				t.Errorf("got %q, want %q", got, k.want)
			}
		})
	}
}
