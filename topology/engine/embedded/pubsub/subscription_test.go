package pubsub

import (
	"fmt"
	"slices"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"
)

// TestSubscription wants that, whatever is taken, acknowledged, given back and left to its
// deadline, each message is acknowledged once, those of a key in order, and never two of a key are
// out.
func TestSubscription(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		now := time.Unix(1000, 0)
		srv := newServer()
		sub := newSubscription(&pb.Subscription{
			EnableMessageOrdering: true, MessageRetentionDuration: durationpb.New(time.Hour),
		})
		srv.subs["s"] = sub
		published, acked := map[string][]int64{}, map[string][]int64{}
		out := map[string]*item{} // by ack id
		var place int64
		publish := func() {
			place++
			key := fmt.Sprint(rapid.IntRange(1, 3).Draw(rt, "key"))
			published[key] = append(published[key], place)
			sub.add(&pb.PubsubMessage{
				MessageId: fmt.Sprint(place), OrderingKey: key, PublishTime: timestamppb.New(now),
			}, place)
		}
		take := func() {
			srv.sweep(now)
			keys := map[string]bool{}
			for _, it := range sub.leased.items {
				keys[it.message.OrderingKey] = true
			}
			for _, it := range sub.take(now, rapid.IntRange(1, 4).Draw(rt, "most"), time.Second) {
				if keys[it.message.OrderingKey] {
					rt.Fatalf("two of key %s are out", it.message.OrderingKey)
				}
				keys[it.message.OrderingKey] = true
				out[it.ackID()] = it
			}
		}
		any := func() string {
			all := make([]string, 0, len(out))
			for id := range out {
				all = append(all, id)
			}
			slices.Sort(all)
			return rapid.SampledFrom(all).Draw(rt, "ack id")
		}
		ack := func(id string) {
			if it := sub.delivered(id); it != nil {
				key := it.message.OrderingKey
				acked[key] = append(acked[key], it.place)
			}
			sub.acknowledge([]string{id})
			delete(out, id)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"publish": func(*rapid.T) { publish() },
			"take":    func(*rapid.T) { take() },
			"pass":    func(*rapid.T) { now = now.Add(700 * time.Millisecond) },
			"ack": func(t *rapid.T) {
				if len(out) == 0 {
					t.Skip("nothing is out")
				}
				ack(any())
			},
			"give back or renew": func(t *rapid.T) {
				if len(out) == 0 {
					t.Skip("nothing is out")
				}
				srv.modify(sub, any(), int32(rapid.IntRange(0, 1).Draw(t, "seconds")), now)
			},
		})
		for len(sub.items) > 0 {
			now = now.Add(2 * time.Second)
			take()
			for id := range out {
				ack(id)
			}
		}
		for key, want := range published {
			if !slices.Equal(want, acked[key]) {
				rt.Fatalf("key %s: published %v, acknowledged %v", key, want, acked[key])
			}
		}
		if len(sub.keys)+sub.waiting.Len()+sub.leased.Len() > 0 {
			rt.Fatalf("left over: %v", sub.keys)
		}
	})
}

func TestRetention(t *testing.T) {
	now := time.Unix(1000, 0)
	sub := newSubscription(&pb.Subscription{
		EnableMessageOrdering: true, MessageRetentionDuration: durationpb.New(time.Hour),
	})
	for i, age := range []time.Duration{2 * time.Hour, 61 * time.Minute, time.Minute} {
		sub.add(&pb.PubsubMessage{
			MessageId: fmt.Sprint(i), OrderingKey: "k", PublishTime: timestamppb.New(now.Add(-age)),
		}, int64(i))
	}
	taken := sub.take(now, 10, time.Second)
	if len(taken) != 1 || taken[0].place != 2 || len(sub.items) != 1 {
		t.Errorf("took %v of %d", taken, len(sub.items))
	}
}
