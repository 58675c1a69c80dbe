package pubsub

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// The service's limits: https://cloud.google.com/pubsub/quotas#resource_limits.
const (
	mostRequest    = 10_000_000 // bytes of one publish request
	mostMessages   = 1000       // of one publish request
	mostAttributes = 100        // of one message
	longestName    = 256        // bytes of an attribute's name
	longestValue   = 1024       // bytes of an attribute's value
	longestKey     = 1024       // bytes of an ordering key
	mostAnswer     = 10_000_000 // bytes of one pull's answer, about
	mostPulled     = 1000       // messages of one pull's answer, where it does not say

	leastDeadline, mostDeadline   = 10, 600 // seconds, of a subscription
	leastAttempts, mostAttempts   = 5, 100
	leastRetention, mostRetention = 10 * time.Minute, 31 * 24 * time.Hour
	usualRetention                = 7 * 24 * time.Hour
)

var resource = regexp.MustCompile(
	`^projects/[^/]+/(topics|subscriptions)/[A-Za-z][-A-Za-z0-9._~+%]{2,254}$`)

func invalid(format string, args ...any) error {
	return status.Error(codes.InvalidArgument, fmt.Sprintf(format, args...))
}

// checkName refuses what is no name of a topic or a subscription.
func checkName(name string) error {
	id := name[strings.LastIndexByte(name, '/')+1:]
	if !resource.MatchString(name) || strings.HasPrefix(id, "goog") {
		return invalid("invalid resource name %q", name)
	}
	return nil
}

func checkRequest(req *pb.PublishRequest) error {
	if n := len(req.Messages); n == 0 || n > mostMessages {
		return invalid("a publish request has 1 to %d messages, not %d", mostMessages, n)
	}
	bytes := 0
	for i, m := range req.Messages {
		if err := checkMessage(m); err != nil {
			return invalid("message %d: %v", i, err)
		}
		bytes += size(m)
	}
	if bytes > mostRequest {
		return invalid("a publish request has at most %d bytes, not %d", mostRequest, bytes)
	}
	return nil
}

func checkMessage(m *pb.PubsubMessage) error {
	switch {
	case len(m.Data) == 0 && len(m.Attributes) == 0:
		return fmt.Errorf("neither data nor attributes")
	case len(m.Attributes) > mostAttributes:
		return fmt.Errorf("%d attributes, at most %d", len(m.Attributes), mostAttributes)
	case len(m.OrderingKey) > longestKey:
		return fmt.Errorf("an ordering key of %d bytes, at most %d", len(m.OrderingKey), longestKey)
	}
	for name, value := range m.Attributes {
		switch {
		case name == "" || len(name) > longestName || strings.HasPrefix(name, "goog"):
			return fmt.Errorf("attribute name %.40q", name)
		case len(value) > longestValue:
			return fmt.Errorf("attribute %q of %d bytes, at most %d", name, len(value), longestValue)
		}
	}
	return nil
}

// checkSubscription refuses what the service refuses or what is not imitated, and fills in what was
// left to the service.
func checkSubscription(s *pb.Subscription) error {
	if err := checkName(s.Name); err != nil {
		return err
	}
	if s.AckDeadlineSeconds == 0 {
		s.AckDeadlineSeconds = leastDeadline
	}
	if d := s.AckDeadlineSeconds; d < leastDeadline || d > mostDeadline {
		return invalid("an ack deadline of %d s: %d to %d", d, leastDeadline, mostDeadline)
	}
	if s.MessageRetentionDuration == nil {
		s.MessageRetentionDuration = durationpb.New(usualRetention)
	}
	if d := s.MessageRetentionDuration.AsDuration(); d < leastRetention || d > mostRetention {
		return invalid("a message retention of %v: %v to %v", d, leastRetention, mostRetention)
	}
	if err := checkPolicy(s.DeadLetterPolicy); err != nil {
		return err
	}
	if what := unimitated(s); what != "" {
		return status.Errorf(codes.Unimplemented, "subscription %q: this imitation has no %s",
			s.Name, what)
	}
	return nil
}

// unimitated is what a subscription asks for that only the service has, "" for nothing.
func unimitated(s *pb.Subscription) string {
	switch {
	case s.Filter != "":
		return "filters"
	case s.PushConfig.GetPushEndpoint() != "":
		return "push"
	case s.EnableExactlyOnceDelivery:
		return "exactly-once delivery"
	case s.BigqueryConfig != nil || s.CloudStorageConfig != nil:
		return "export"
	case len(s.MessageTransforms) > 0:
		return "transforms"
	}
	return ""
}

func checkPolicy(p *pb.DeadLetterPolicy) error {
	if p == nil {
		return nil
	}
	if p.MaxDeliveryAttempts == 0 {
		p.MaxDeliveryAttempts = leastAttempts
	}
	if n := p.MaxDeliveryAttempts; n < leastAttempts || n > mostAttempts {
		return invalid("%d delivery attempts: %d to %d", n, leastAttempts, mostAttempts)
	}
	return nil
}
