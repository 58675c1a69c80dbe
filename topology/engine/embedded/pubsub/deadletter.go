package pubsub

import (
	"maps"
	"strconv"
	"strings"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

// What the service adds to a message that it forwards to a dead-letter topic.
// Source: https://cloud.google.com/pubsub/docs/handling-failures#dead_letter_topic.
const deadLetterPrefix = "CloudPubSubDeadLetterSource"

// lapse is for a delivery that was given back or whose deadline has passed: the message may be
// given out again, or goes to the dead-letter topic when it has been often enough. While that topic
// is missing it stays. The lock is held.
func (s *server) lapse(sub *subscription, it *item, now time.Time) {
	if !sub.spent(it) {
		sub.offer(it)
		return
	}
	to := s.topics[sub.proto.DeadLetterPolicy.DeadLetterTopic]
	if to == nil {
		sub.offer(it)
		return
	}
	sub.remove(it)
	s.publish(to, deadLetter(sub.proto, it), now)
}

// deadLetter is the message as it is forwarded.
func deadLetter(sub *pb.Subscription, it *item) *pb.PubsubMessage {
	attributes := maps.Clone(it.message.Attributes)
	if attributes == nil {
		attributes = map[string]string{}
	}
	part := strings.Split(sub.Name, "/") // projects, its id, subscriptions, the subscription's id
	attributes[deadLetterPrefix+"DeliveryCount"] = strconv.Itoa(int(it.attempt))
	attributes[deadLetterPrefix+"Subscription"] = part[3]
	attributes[deadLetterPrefix+"SubscriptionProject"] = part[1]
	attributes[deadLetterPrefix+"TopicPublishTime"] =
		it.message.PublishTime.AsTime().Format(time.RFC3339Nano)
	return &pb.PubsubMessage{
		Data: it.message.Data, OrderingKey: it.message.OrderingKey, Attributes: attributes,
	}
}

// sweep ends the deliveries whose deadline has passed, in all subscriptions, and says when the next
// one will; zero when none is out. The lock is held.
func (s *server) sweep(now time.Time) (next time.Time) {
	for _, sub := range s.subs {
		for it := sub.leased.first(); it != nil && !it.until.After(now); it = sub.leased.first() {
			s.lapse(sub, it, now)
		}
		if it := sub.leased.first(); it != nil && (next.IsZero() || it.until.Before(next)) {
			next = it.until
		}
	}
	return next
}
