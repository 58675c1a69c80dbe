package pubsub

import (
	"strconv"
	"strings"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

// item is one message in one subscription, until it is acknowledged.
type item struct {
	message *pb.PubsubMessage // shared by all subscriptions, not changed any more
	place   int64             // in the order of publishing
	attempt int32             // how often it was given out
	until   time.Time         // leased until; zero while it waits
	in      *pile             // where it lies; nil behind another of its key
	at      int               // its index there
}

// subscription is what a group has not acknowledged. The server's lock is held wherever it is used.
type subscription struct {
	proto   *pb.Subscription
	items   map[string]*item   // by message id
	keys    map[string][]*item // by ordering key, in order; the first one waits or is leased
	waiting pile               // may be given out, the earliest published first
	leased  pile               // given out, the earliest deadline first
	grown   chan struct{}      // closed when something may be given out; nil while nobody waits
}

func newSubscription(proto *pb.Subscription) *subscription {
	return &subscription{
		proto: proto, items: map[string]*item{}, keys: map[string][]*item{},
		waiting: pile{before: func(a, b *item) bool { return a.place < b.place }},
		leased:  pile{before: func(a, b *item) bool { return a.until.Before(b.until) }},
	}
}

// keyOf is the key that a message waits behind others for, "" for none.
func (s *subscription) keyOf(it *item) string {
	if !s.proto.EnableMessageOrdering {
		return ""
	}
	return it.message.OrderingKey
}

func (s *subscription) add(m *pb.PubsubMessage, place int64) {
	it := &item{message: m, place: place}
	s.items[m.MessageId] = it
	if key := s.keyOf(it); key != "" {
		s.keys[key] = append(s.keys[key], it)
		if len(s.keys[key]) > 1 {
			return
		}
	}
	s.offer(it)
}

// offer lets an item be given out.
func (s *subscription) offer(it *item) {
	it.letGo()
	it.until = time.Time{}
	s.waiting.put(it)
	if s.grown != nil {
		close(s.grown)
		s.grown = nil
	}
}

// lease keeps an item from others until a time.
func (s *subscription) lease(it *item, until time.Time) {
	it.until = until
	if it.in == &s.leased {
		it.moved()
		return
	}
	it.letGo()
	s.leased.put(it)
}

// remove forgets an item; the next of its key may be given out.
func (s *subscription) remove(it *item) {
	it.letGo()
	delete(s.items, it.message.MessageId)
	key := s.keyOf(it)
	if key == "" {
		return
	}
	behind := s.keys[key][1:]
	if len(behind) == 0 {
		delete(s.keys, key)
		return
	}
	s.keys[key] = behind
	s.offer(behind[0])
}

// awaits is closed when something more may be given out.
func (s *subscription) awaits() <-chan struct{} {
	if s.grown == nil {
		s.grown = make(chan struct{})
	}
	return s.grown
}

// take gives items out, those published first first: most of them at most, and about as many bytes
// as one answer holds. What is older than the subscription retains is forgotten.
func (s *subscription) take(now time.Time, most int, lease time.Duration) []*item {
	kept := now.Add(-s.proto.MessageRetentionDuration.AsDuration())
	var taken []*item
	for bytes := 0; len(taken) < most && bytes < mostAnswer; {
		it := s.waiting.first()
		if it == nil {
			break
		}
		if it.message.PublishTime.AsTime().Before(kept) {
			s.remove(it)
			continue
		}
		it.attempt++
		bytes += size(it.message)
		s.lease(it, now.Add(lease))
		taken = append(taken, it)
	}
	return taken
}

// spent says that a message has been given out as often as its dead-letter policy allows.
func (s *subscription) spent(it *item) bool {
	p := s.proto.DeadLetterPolicy
	return p != nil && it.attempt >= p.MaxDeliveryAttempts
}

// received is an item as it goes over the wire.
func (s *subscription) received(it *item) *pb.ReceivedMessage {
	r := &pb.ReceivedMessage{AckId: it.ackID(), Message: it.message}
	if s.proto.DeadLetterPolicy != nil {
		r.DeliveryAttempt = it.attempt
	}
	return r
}

// ackID names this delivery of the message.
func (it *item) ackID() string {
	return it.message.MessageId + "." + strconv.Itoa(int(it.attempt))
}

// delivered is the item whose latest delivery an ack id names, nil when it has been acknowledged or
// given out again since: who comes late changes nothing for the one who has it now.
func (s *subscription) delivered(ackID string) *item {
	id, attempt, _ := strings.Cut(ackID, ".")
	it := s.items[id]
	if it == nil || it.in == nil || it.attempt == 0 || strconv.Itoa(int(it.attempt)) != attempt {
		return nil
	}
	return it
}
