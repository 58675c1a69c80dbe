// Package sns is the client of Amazon SNS with a queue of Amazon SQS for each group:
// aws-sdk-go-v2 over a wire.
//
// It is used in the run step of load → plan → run → check → report. A channel is a topic, FIFO
// where the channel has a key; each of its groups has a queue that is subscribed to it, so that
// every group gets every message, or those that its filter lets through. It promises what package
// sqs does. It may not import an engine or the fabric's making. It is the only importer of the SDK's SNS
// client.
//
// Source: Amazon SNS Developer Guide ("Fanout to Amazon SQS queues", "Message filtering", "FIFO
// topics") and API reference.
package sns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"golang.org/x/sync/errgroup"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/aws"
	"github.com/faultline-sim/faultline/simulators/conn/sqs"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
)

// declaredAtOnce is how many channels are declared at once.
const declaredAtOnce = 8

// Filter lets a group have only some of a channel's messages. The zero value lets all through.
type Filter struct {
	// Policy is a filter policy, a JSON document: {"ce_subject": [{"prefix": "eu-"}]}. The names are
	// those of the message attributes (ce_type, ce_subject, ce_source, ce_partitionkey …), or of the
	// body's fields where Body is set. What is not text alone stands in no attribute of its own.
	Policy string
	Body   bool
}

// Filters are those of a client's channels, by channel name and group. They are set when a group's
// queue is first subscribed.
type Filters map[string]map[string]Filter

// Client is one SNS client. It implements conn.Broker and conn.Crasher.
type Client struct {
	link    *aws.Link
	api     *sns.Client
	queues  *sqs.Queues
	copies  *sqs.Copies
	filters Filters

	mu     sync.Mutex
	topics map[string]*topic // by name, with the suffix of FIFO ones
	lanes  map[string]*sqs.Lane
}

var (
	_ conn.Broker  = (*Client)(nil)
	_ conn.Crasher = (*Client)(nil)
)

// New makes a client; it connects when it is first used. Filters may be nil.
func New(cfg conn.Config, filters Filters) *Client {
	link := aws.NewLink(cfg)
	return &Client{
		link: link, api: sns.NewFromConfig(link.Config()), filters: filters,
		queues: sqs.NewQueues(link, cfg.Recall), copies: sqs.NewCopies(),
		topics: map[string]*topic{}, lanes: map[string]*sqs.Lane{},
	}
}

// Connect returns when the service has answered.
func (c *Client) Connect(ctx context.Context) error { return c.link.Connect(ctx, c.list) }

// Declare makes a topic for each channel and a queue for each of its groups, or one of its own for
// a channel without groups; where the service itself is to give messages up, also the queue of the
// dead-letter channel. A channel with a level ":id" is ErrUnsupported.
func (c *Client) Declare(ctx context.Context, channels []*topology.Channel) error {
	ordered := map[string]bool{} // dead letters of a FIFO queue go to a FIFO queue
	for _, ch := range channels {
		if strings.Contains(topology.ChannelName(ch.Ref), ":") {
			return fmt.Errorf("declare %q: a channel for each id: %w", ch.Ref, conn.ErrUnsupported)
		}
		if dead := sqs.NativeDead(ch); dead != "" && ch.Key != "" {
			ordered[dead] = true
		}
	}
	if err := c.link.Insist(ctx, aws.AnswerTimeout, c.list); err != nil {
		return fmt.Errorf("declare topics over %s: %w", c.link.Wire(), err)
	}
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(declaredAtOnce)
	for _, ch := range channels {
		all.Go(func() error {
			fifo := ch.Key != "" || ordered[topology.ChannelName(ch.Ref)]
			if err := c.declare(ctx, ch, fifo); err != nil {
				return fmt.Errorf("declare %q over %s: %w", ch.Ref, c.link.Wire(), err)
			}
			return nil
		})
	}
	return all.Wait()
}

func (c *Client) declare(ctx context.Context, ch *topology.Channel, fifo bool) error {
	channel := topology.ChannelName(ch.Ref)
	to, err := c.create(ctx, sqs.Name(channel), fifo)
	if err != nil {
		return err
	}
	groups := ch.Groups
	if len(groups) == 0 {
		groups = []string{""}
	}
	for _, group := range groups {
		s := specOf(channel, group, to)
		s.Retention = ch.TTL
		if dead := sqs.NativeDead(ch); dead != "" {
			s.Dead, s.Attempts = sqs.Name(dead), ch.DeadLetter.Attempts
		}
		if err := c.join(ctx, to, s, c.filterOf(ch, group)); err != nil {
			return err
		}
	}
	return nil
}

// filterOf is a group's filter: by flow where the channel declares that, else the client's own.
func (c *Client) filterOf(ch *topology.Channel, group string) Filter {
	flows := ch.Filters[group]
	if len(flows) == 0 {
		return c.filters[topology.ChannelName(ch.Ref)][group]
	}
	types := make([]string, len(flows))
	for i, flow := range flows {
		types[i] = message.TypeOf(flow)
	}
	policy, _ := json.Marshal(map[string][]string{"ce_type": types}) // of strings, it cannot fail
	return Filter{Policy: string(policy)}
}

// specOf is a group's queue; group "" is the channel's own.
func specOf(channel, group string, to *topic) sqs.Spec {
	return sqs.Spec{Name: queueOf(channel, group), FIFO: to.fifo, Group: group}
}

func queueOf(channel, group string) string {
	if group == "" {
		return sqs.Name(channel)
	}
	return sqs.OfGroup(channel, group)
}

// Publish sends a message to a channel's topic, to the message group of its key where that is a
// FIFO topic, and returns when the service has stored it. Messages wait for each other's requests,
// ten go in one.
func (c *Client) Publish(ctx context.Context, channel string, m *message.Message) (
	conn.Receipt, error,
) {
	l, err := sqs.Write(m, mostBytes)
	if err == nil {
		told := c.copies.Mark(l, channel)
		err = c.put(ctx, sqs.Name(channel), l)
		told(err)
	}
	return conn.Receipt{}, sqs.Explain(err, channel, c.link.Wire())
}

// Subscribe takes part in a group of the channel, which gets a queue if it has none. See
// sqs.Queues.Subscribe.
func (c *Client) Subscribe(ctx context.Context, sub conn.Subscription) error {
	if err := c.subscribe(ctx, sub); err != nil {
		return fmt.Errorf("subscribe to %q over %s: %w", sub.Channel, c.link.Wire(), err)
	}
	return nil
}

func (c *Client) subscribe(ctx context.Context, sub conn.Subscription) error {
	for n := 1; ; n++ {
		err := c.ensure(ctx, sub.Channel, sub.Group)
		if err == nil {
			return c.queues.Subscribe(ctx, queueOf(sub.Channel, sub.Group), sub)
		}
		if errors.Is(err, conn.ErrRefused) || errors.Is(err, conn.ErrUnsupported) {
			return err
		}
		if wait := c.link.Pause(ctx, n); wait != nil {
			return errors.Join(wait, err)
		}
	}
}

// ensure makes a group's queue where there is none.
func (c *Client) ensure(ctx context.Context, channel, group string) error {
	to, err := c.find(ctx, sqs.Name(channel))
	if err != nil {
		return err
	}
	there, err := c.queues.Exists(ctx, queueOf(channel, group))
	if there || err != nil {
		return err
	}
	return c.join(ctx, to, specOf(channel, group, to), c.filters[channel][group])
}

// Depth is how many messages stand in the group's queue, by the service's own count, which is
// approximate; group "" is the channel's own.
func (c *Client) Depth(ctx context.Context, channel, group string) (int64, error) {
	n, err := c.queues.Depth(ctx, queueOf(channel, group))
	if err != nil {
		return 0, fmt.Errorf("read depth of %q over %s: %w", channel, c.link.Wire(), err)
	}
	return n, nil
}

// Audit reads all that stands in the channel's own queue: that of a channel without groups, and
// that of dead letters. A topic keeps nothing, so a channel with groups is ErrUnsupported. See
// sqs.Queues.Audit.
func (c *Client) Audit(
	ctx context.Context, channel string, found func(*message.Message) error,
) error {
	there, err := c.queues.Exists(ctx, sqs.Name(channel))
	if err == nil && !there {
		if _, err = c.find(ctx, sqs.Name(channel)); err == nil {
			err = fmt.Errorf("a topic keeps nothing beside its groups: %w", conn.ErrUnsupported)
		}
	}
	if err == nil {
		err = c.queues.Audit(ctx, sqs.Name(channel), found)
	}
	if err != nil {
		return fmt.Errorf("audit %q over %s: %w", channel, c.link.Wire(), err)
	}
	return nil
}

// Close ends the subscriptions, which settle what is settled and give the rest back, then all
// connections. It may not be called from within a subscription's Handle.
func (c *Client) Close() error { return c.link.Close() }

// Crash ends the client at once: what it has in hand becomes visible to others by itself.
func (c *Client) Crash() { c.link.Crash() }
