package pubsub

import (
	"context"
	"fmt"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
)

const (
	// auditLease is how long an audit may take before what it has read could be delivered to it
	// again, in seconds: the longest that there is.
	auditLease = 600
	// giveBackWithin bounds giving back what an audit has read.
	giveBackWithin = 5 * time.Second
)

// Depth is not to be had: the service tells it as a figure of Cloud Monitoring only. The embedded
// engine tells what it holds.
func (c *Client) Depth(context.Context, string, string) (int64, error) {
	return 0, fmt.Errorf("read depth on %s: Pub/Sub has no call for it: %w",
		c.cfg.Dialer.Wire(), conn.ErrUnsupported)
}

// Audit reads what a channel keeps for no group: that of channels without groups and of those that
// others dead-letter to; for others it is ErrUnsupported. It takes all there is and gives it back,
// and is over when a pull finds nothing. What is no envelope is passed over. Of two audits of a
// channel at the same time each sees a part.
func (c *Client) Audit(
	ctx context.Context, channel string, found func(*message.Message) error,
) error {
	s := &subscription{client: c, name: subscriptionName(channel, "")}
	var taken []string
	defer func() { s.giveBack(ctx, taken) }()
	for seen := map[string]bool{}; ; {
		pulled, err := s.pullOnce(ctx)
		switch {
		case status.Code(err) == codes.NotFound:
			return fmt.Errorf("audit %q on %s: only its groups have what it carries, and reading "+
				"it would take it from them: %w", channel, c.cfg.Dialer.Wire(), conn.ErrUnsupported)
		case err != nil:
			return fmt.Errorf("audit %q on %s: %w", channel, c.cfg.Dialer.Wire(), err)
		case len(pulled) == 0:
			return nil
		}
		ids := make([]string, len(pulled))
		for i, r := range pulled {
			ids[i] = r.AckId
		}
		taken = append(taken, ids...)
		if err := s.modify(ctx, ids, auditLease); err != nil {
			return fmt.Errorf("audit %q on %s: %w", channel, c.cfg.Dialer.Wire(), err)
		}
		for _, r := range pulled {
			if seen[r.Message.MessageId] {
				continue
			}
			seen[r.Message.MessageId] = true
			if m, err := fromPubsub(r.Message, c.cfg.Recall); err == nil {
				if err := found(m); err != nil {
					return err
				}
			}
		}
	}
}

func (s *subscription) pullOnce(ctx context.Context) ([]*pb.ReceivedMessage, error) {
	var answer *pb.PullResponse
	err := s.client.insist(ctx, func(ctx context.Context) (err error) {
		answer, err = s.client.subscriber.Pull(ctx, &pb.PullRequest{
			Subscription: s.name, MaxMessages: mostPulled,
		})
		return err
	})
	return answer.GetReceivedMessages(), err
}

// giveBack makes what was taken available again, also when ctx has ended.
func (s *subscription) giveBack(ctx context.Context, ids []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackWithin)
	defer cancel()
	for len(ids) > 0 {
		n := min(len(ids), mostSettled)
		err := s.client.insist(ctx, func(ctx context.Context) error {
			return s.modify(ctx, ids[:n], 0)
		})
		if err != nil {
			return // they come back when their lease is over
		}
		ids = ids[n:]
	}
}
