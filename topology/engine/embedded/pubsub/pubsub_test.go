package pubsub_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	library "cloud.google.com/go/pubsub/v2"
	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/embedded/pubsub"
)

const (
	topic = "projects/p/topics/events"
	dead  = "projects/p/topics/events.dead"
	none  = "projects/p/topics/none"
	sub   = "projects/p/subscriptions/events+workers"
)

// host listens on the same port each time.
type host struct {
	mu   sync.Mutex
	addr string
}

func (h *host) Listen(int) (net.Listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	addr := h.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err == nil {
		h.addr = l.Addr().String()
	}
	return l, err
}

func (h *host) Announce(int, string) error { return nil }
func (h *host) Port(int) (int, error)      { return 0, nil }

func (h *host) Dial(context.Context, int) (net.Conn, error) { return nil, net.ErrClosed }

// site is a running engine and a client's connection to it.
type site struct {
	engine.Engine
	conn *grpc.ClientConn
	pub  pb.PublisherClient
	sub  pb.SubscriberClient
}

func start(t *testing.T) *site {
	t.Helper()
	h := &host{}
	e, err := pubsub.New(engine.Config{Node: &topology.Node{Name: "bus"}, Host: h})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := grpc.NewClient("passthrough:///"+h.addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &site{e, c, pb.NewPublisherClient(c), pb.NewSubscriberClient(c)}
}

// declare makes two topics and a subscription to the first.
func (s *site) declare(t *testing.T, change func(*pb.Subscription)) {
	t.Helper()
	for _, name := range []string{topic, dead} {
		if _, err := s.pub.CreateTopic(t.Context(), &pb.Topic{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	wanted := &pb.Subscription{Name: sub, Topic: topic}
	change(wanted)
	if _, err := s.sub.CreateSubscription(t.Context(), wanted); err != nil {
		t.Fatal(err)
	}
}

func (s *site) publish(t *testing.T, ms ...*pb.PubsubMessage) {
	t.Helper()
	_, err := s.pub.Publish(t.Context(), &pb.PublishRequest{Topic: topic, Messages: ms})
	if err != nil {
		t.Fatal(err)
	}
}

func keyed(key, text string) *pb.PubsubMessage {
	return &pb.PubsubMessage{OrderingKey: key, Data: []byte(text)}
}

// pull takes what there is at once, or after a while.
func (s *site) pull(t *testing.T, name string) []*pb.ReceivedMessage {
	t.Helper()
	answer, err := s.sub.Pull(t.Context(), &pb.PullRequest{Subscription: name, MaxMessages: 100})
	if err != nil {
		t.Fatal(err)
	}
	return answer.ReceivedMessages
}

// texts is what was pulled; ids are its ack ids.
func texts(all []*pb.ReceivedMessage) (found []string) {
	for _, r := range all {
		found = append(found, string(r.Message.Data))
	}
	return found
}

func ids(all []*pb.ReceivedMessage) (found []string) {
	for _, r := range all {
		found = append(found, r.AckId)
	}
	return found
}

func (s *site) modify(t *testing.T, seconds int32, all []*pb.ReceivedMessage) {
	t.Helper()
	_, err := s.sub.ModifyAckDeadline(t.Context(), &pb.ModifyAckDeadlineRequest{
		Subscription: sub, AckIds: ids(all), AckDeadlineSeconds: seconds,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *site) ack(t *testing.T, all []*pb.ReceivedMessage) {
	t.Helper()
	_, err := s.sub.Acknowledge(t.Context(), &pb.AcknowledgeRequest{
		Subscription: sub, AckIds: ids(all),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEngine(t *testing.T) {
	t.Run("stopped and killed/topics and messages kept, leases too", func(t *testing.T) {
		s := start(t)
		s.declare(t, func(*pb.Subscription) {})
		s.publish(t, keyed("", "a"))
		taken := s.pull(t, sub)
		s.publish(t, keyed("", "b"))
		for _, end := range []func(context.Context) error{s.Stop, s.Kill} {
			if err := end(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := texts(s.pull(t, sub)); !cmp.Equal(got, []string{"b"}) {
			t.Errorf("got %q", got)
		}
		s.ack(t, taken)
		want := map[engine.Waiting]int64{{Channel: "events", Client: "workers-0"}: 1}
		if diff := cmp.Diff(want, s.Engine.(engine.Holder).Held()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("wiped/only while stopped, then empty", func(t *testing.T) {
		s := start(t)
		s.declare(t, func(*pb.Subscription) {})
		if err := s.Wipe(t.Context()); err == nil {
			t.Error("a running engine was wiped")
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if held := s.Engine.(engine.Holder).Held(); held != nil {
			t.Errorf("a stopped engine holds %v", held)
		}
		if err := s.Wipe(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := s.pub.GetTopic(t.Context(), &pb.GetTopicRequest{Topic: topic})
		if status.Code(err) != codes.NotFound {
			t.Error(err)
		}
	})
	t.Run("a pull waits/stopped at once all the same", func(t *testing.T) {
		s := start(t)
		s.declare(t, func(*pb.Subscription) {})
		pulled := make(chan error, 1)
		go func() {
			req := &pb.PullRequest{Subscription: sub, MaxMessages: 1}
			_, err := s.sub.Pull(context.Background(), req)
			pulled <- err
		}()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("closed twice: %v", err)
		}
		s.conn.Close()
		<-pulled
	})
}

func TestSubscription(t *testing.T) {
	t.Run("in order/one of a key at a time, again first when given back", func(t *testing.T) {
		s := start(t)
		s.declare(t, func(sub *pb.Subscription) { sub.EnableMessageOrdering = true })
		s.publish(t, keyed("k", "1"), keyed("k", "2"), keyed("l", "x"),
			keyed("", "free"), keyed("", "too"))
		first := s.pull(t, sub)
		if got := texts(first); !cmp.Equal(got, []string{"1", "x", "free", "too"}) {
			t.Fatalf("got %q", got)
		}
		s.modify(t, 0, first[:1])
		again := s.pull(t, sub)
		if got := texts(again); !cmp.Equal(got, []string{"1"}) {
			t.Fatalf("got %q", got)
		}
		s.ack(t, again)
		if got := texts(s.pull(t, sub)); !cmp.Equal(got, []string{"2"}) {
			t.Errorf("got %q", got)
		}
	})
	t.Run("deadline passes/again, and a late acknowledgement counts for nothing", func(t *testing.T) {
		s := start(t)
		s.declare(t, func(*pb.Subscription) {})
		s.publish(t, keyed("", "a"))
		first := s.pull(t, sub)
		s.modify(t, 1, first)
		var again []*pb.ReceivedMessage
		for limit := time.Now().Add(30 * time.Second); len(again) == 0; {
			if again = s.pull(t, sub); time.Now().After(limit) {
				t.Fatal("it did not come again")
			}
		}
		s.ack(t, first)
		s.modify(t, 0, again)
		if got := texts(s.pull(t, sub)); !cmp.Equal(got, []string{"a"}) {
			t.Errorf("got %q", got)
		}
	})
	t.Run("given back and renewed late/stays given back", func(t *testing.T) {
		s := start(t)
		s.declare(t, func(*pb.Subscription) {})
		s.publish(t, keyed("", "a"))
		first := s.pull(t, sub)
		s.modify(t, 0, first)
		s.modify(t, 600, first)
		if got := texts(s.pull(t, sub)); !cmp.Equal(got, []string{"a"}) {
			t.Errorf("got %q", got)
		}
	})
	t.Run("delivered as often as allowed/forwarded, with where it comes from", func(t *testing.T) {
		s := start(t)
		s.declare(t, func(sub *pb.Subscription) {
			sub.DeadLetterPolicy = &pb.DeadLetterPolicy{DeadLetterTopic: dead, MaxDeliveryAttempts: 5}
		})
		const keeps = "projects/p/subscriptions/keeps"
		_, err := s.sub.CreateSubscription(t.Context(), &pb.Subscription{Name: keeps, Topic: dead})
		if err != nil {
			t.Fatal(err)
		}
		s.publish(t, &pb.PubsubMessage{
			Data: []byte("a"), OrderingKey: "k", Attributes: map[string]string{"own": "1"},
		})
		for want := int32(1); want <= 5; want++ {
			all := s.pull(t, sub)
			if len(all) != 1 || all[0].DeliveryAttempt != want {
				t.Fatalf("attempt %d: got %v", want, all)
			}
			s.modify(t, 0, all)
		}
		all := s.pull(t, keeps)
		if len(all) != 1 {
			t.Fatalf("forwarded %v", all)
		}
		m := all[0].Message
		if m.Attributes["CloudPubSubDeadLetterSourceTopicPublishTime"] == "" {
			t.Error("no time of publishing")
		}
		delete(m.Attributes, "CloudPubSubDeadLetterSourceTopicPublishTime")
		want := map[string]string{
			"own": "1",
			"CloudPubSubDeadLetterSourceDeliveryCount":       "5",
			"CloudPubSubDeadLetterSourceSubscription":        "events+workers",
			"CloudPubSubDeadLetterSourceSubscriptionProject": "p",
		}
		if diff := cmp.Diff(want, m.Attributes); diff != "" || m.OrderingKey != "k" {
			t.Errorf("key %q, %s", m.OrderingKey, diff)
		}
	})
}

func TestRefusals(t *testing.T) {
	s := start(t)
	s.declare(t, func(*pb.Subscription) {})
	for name, c := range map[string]struct {
		want codes.Code
		do   func() error
	}{
		"topic there already": {codes.AlreadyExists, s.newTopic(topic)},
		"topic's name":        {codes.InvalidArgument, s.newTopic("projects/p/topics/1st")},
		"reserved name":       {codes.InvalidArgument, s.newTopic("projects/p/topics/google")},
		"publish to none":     {codes.NotFound, s.newMessage(none, keyed("", "a"))},
		"nothing in it":       {codes.InvalidArgument, s.newMessage(topic, &pb.PubsubMessage{})},
		"long attribute":      {codes.InvalidArgument, s.newMessage(topic, attribute("a", 1025))},
		"reserved attribute":  {codes.InvalidArgument, s.newMessage(topic, attribute("goog-a", 1))},
		"long key":            {codes.InvalidArgument, s.newMessage(topic, keyed(letters(1025), "a"))},
		"large": {codes.InvalidArgument,
			s.newMessage(topic, keyed("", letters(10_000_001)))},
		"subscription there": {codes.AlreadyExists,
			s.newSub(func(n *pb.Subscription) { n.Name = sub })},
		"short deadline": {codes.InvalidArgument,
			s.newSub(func(n *pb.Subscription) { n.AckDeadlineSeconds = 9 })},
		"few attempts":    {codes.InvalidArgument, s.newSub(policy(4))},
		"many attempts":   {codes.InvalidArgument, s.newSub(policy(101))},
		"short retention": {codes.InvalidArgument, s.newSub(retention(time.Minute))},
		"filter": {codes.Unimplemented,
			s.newSub(func(n *pb.Subscription) { n.Filter = "attributes:a" })},
		"topic of none": {codes.NotFound, s.newSub(func(n *pb.Subscription) { n.Topic = none })},
		"all that can be said": {codes.OK, s.newSub(func(n *pb.Subscription) {
			policy(5)(n)
			n.Name += ".dead"
		})},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.do(); status.Code(err) != c.want {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func (s *site) newTopic(name string) func() error {
	return func() error {
		_, err := s.pub.CreateTopic(context.Background(), &pb.Topic{Name: name})
		return err
	}
}

func (s *site) newMessage(to string, m *pb.PubsubMessage) func() error {
	return func() error {
		_, err := s.pub.Publish(context.Background(), &pb.PublishRequest{
			Topic: to, Messages: []*pb.PubsubMessage{m},
		})
		return err
	}
}

func (s *site) newSub(change func(*pb.Subscription)) func() error {
	return func() error {
		wanted := &pb.Subscription{Name: "projects/p/subscriptions/another", Topic: topic}
		change(wanted)
		_, err := s.sub.CreateSubscription(context.Background(), wanted)
		return err
	}
}

func attribute(name string, size int) *pb.PubsubMessage {
	return &pb.PubsubMessage{Attributes: map[string]string{name: letters(size)}}
}

func letters(n int) string { return strings.Repeat("a", n) }

func policy(attempts int32) func(*pb.Subscription) {
	return func(n *pb.Subscription) {
		n.DeadLetterPolicy = &pb.DeadLetterPolicy{DeadLetterTopic: dead, MaxDeliveryAttempts: attempts}
	}
}

func retention(d time.Duration) func(*pb.Subscription) {
	return func(n *pb.Subscription) { n.MessageRetentionDuration = durationpb.New(d) }
}

// TestGooglesLibrary wants what Google's own client library makes of the service: order of a key
// over a stream, redelivery of what was given back.
func TestGooglesLibrary(t *testing.T) {
	s := start(t)
	s.declare(t, func(sub *pb.Subscription) { sub.EnableMessageOrdering = true })
	c, err := library.NewClient(t.Context(), "p", option.WithGRPCConn(s.conn))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p := c.Publisher("events")
	defer p.Stop()
	p.EnableMessageOrdering = true
	const n = 10
	for i := range n {
		for _, key := range []string{"k", "l"} {
			p.Publish(t.Context(), &library.Message{OrderingKey: key, Data: fmt.Append(nil, i)})
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var mu sync.Mutex
	handled, given := map[string][]string{}, false
	err = c.Subscriber("events+workers").Receive(ctx, func(_ context.Context, m *library.Message) {
		mu.Lock()
		defer mu.Unlock()
		if string(m.Data) == "3" && !given {
			given = true
			m.Nack()
			return
		}
		handled[m.OrderingKey] = append(handled[m.OrderingKey], string(m.Data))
		m.Ack()
		if len(handled["k"]) == n && len(handled["l"]) == n {
			cancel()
		}
	})
	if err != nil {
		t.Error(err)
	}
	want := []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}
	if diff := cmp.Diff(map[string][]string{"k": want, "l": want}, handled); diff != "" {
		t.Error(diff)
	}
}
