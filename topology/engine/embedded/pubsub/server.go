package pubsub

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// server answers both services. Its data outlives the connections. It is safe for concurrent use.
type server struct {
	pb.UnimplementedPublisherServer
	pb.UnimplementedSubscriberServer

	mu     sync.Mutex
	topics map[string]*topic
	subs   map[string]*subscription
	count  int64         // messages published so far
	quit   chan struct{} // closed when waiting calls shall end
}

// topic is where messages are published.
type topic struct {
	proto *pb.Topic
	subs  []*subscription
}

func newServer() *server {
	s := &server{}
	s.wipe()
	return s
}

func (s *server) wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.topics, s.subs = map[string]*topic{}, map[string]*subscription{}
}

// open begins a time of answering calls; what it returns makes those that wait end.
func (s *server) open() (quit func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ended := make(chan struct{})
	s.quit = ended
	return sync.OnceFunc(func() { close(ended) })
}

// CreateTopic makes a topic. Its settings are kept and have no effect.
func (s *server) CreateTopic(_ context.Context, t *pb.Topic) (*pb.Topic, error) {
	if err := checkName(t.Name); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.topics[t.Name] != nil {
		return nil, status.Errorf(codes.AlreadyExists, "topic %q", t.Name)
	}
	s.topics[t.Name] = &topic{proto: t}
	return t, nil
}

// GetTopic tells a topic's settings.
func (s *server) GetTopic(_ context.Context, req *pb.GetTopicRequest) (*pb.Topic, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.topic(req.Topic)
	if err != nil {
		return nil, err
	}
	return t.proto, nil
}

// topic finds a topic; the lock is held.
func (s *server) topic(name string) (*topic, error) {
	if t := s.topics[name]; t != nil {
		return t, nil
	}
	return nil, status.Errorf(codes.NotFound, "topic %q", name)
}

// ListTopics lists a project's topics, all on one page.
func (s *server) ListTopics(_ context.Context, req *pb.ListTopicsRequest) (
	*pb.ListTopicsResponse, error,
) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := &pb.ListTopicsResponse{}
	for name, t := range s.topics {
		if strings.HasPrefix(name, req.Project+"/") {
			answer.Topics = append(answer.Topics, t.proto)
		}
	}
	slices.SortFunc(answer.Topics, func(a, b *pb.Topic) int { return strings.Compare(a.Name, b.Name) })
	return answer, nil
}

// ListTopicSubscriptions lists a topic's subscriptions, all on one page.
func (s *server) ListTopicSubscriptions(_ context.Context, req *pb.ListTopicSubscriptionsRequest) (
	*pb.ListTopicSubscriptionsResponse, error,
) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.topic(req.Topic)
	if err != nil {
		return nil, err
	}
	answer := &pb.ListTopicSubscriptionsResponse{}
	for _, sub := range t.subs {
		answer.Subscriptions = append(answer.Subscriptions, sub.proto.Name)
	}
	slices.Sort(answer.Subscriptions)
	return answer, nil
}

// DeleteTopic forgets a topic; its subscriptions keep what they have.
func (s *server) DeleteTopic(_ context.Context, req *pb.DeleteTopicRequest) (
	*emptypb.Empty, error,
) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.topic(req.Topic)
	if err != nil {
		return nil, err
	}
	for _, sub := range t.subs {
		sub.proto = proto.Clone(sub.proto).(*pb.Subscription) // an answer may be on its way
		sub.proto.Topic = "_deleted-topic_"
	}
	delete(s.topics, req.Topic)
	return &emptypb.Empty{}, nil
}

// Publish gives messages to every subscription of a topic, all of them or none.
func (s *server) Publish(_ context.Context, req *pb.PublishRequest) (*pb.PublishResponse, error) {
	if err := checkRequest(req); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.topic(req.Topic)
	if err != nil {
		return nil, err
	}
	answer := &pb.PublishResponse{MessageIds: make([]string, len(req.Messages))}
	now := time.Now()
	for i, m := range req.Messages {
		s.publish(t, m, now)
		answer.MessageIds[i] = m.MessageId
	}
	return answer, nil
}

// publish adds a message that nobody else changes; the lock is held.
func (s *server) publish(t *topic, m *pb.PubsubMessage, now time.Time) {
	s.count++
	m.MessageId = strconv.FormatInt(s.count, 10)
	m.PublishTime = timestamppb.New(now)
	for _, sub := range t.subs {
		sub.add(m, s.count)
	}
}
