package nats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/topology"
)

// kept is what is known of a channel. It stands in its stream's metadata, so that a client that has
// not declared the channel knows it too.
type kept struct {
	channel   string
	transient bool // core NATS: no stream
	parts     int
	ordered   bool   // messages of one key are handled in order: a part has one consumer at a time
	attempts  int    // deliveries before the server gives a message up, 0 for no bound
	dead      string // channel that given up messages are moved to, "" for none
}

// The names of a stream's metadata.
const (
	metaParts    = "faultline.parallel"
	metaOrdered  = "faultline.ordered"
	metaAttempts = "faultline.attempts"
	metaDead     = "faultline.dead"
)

func keptOf(c *topology.Channel) *kept {
	k := &kept{
		channel: topology.ChannelName(c.Ref), transient: c.Transient, parts: max(1, c.Parallel),
		ordered: c.Key != "" || c.Parallel > 1,
	}
	if dl := c.DeadLetter; dl != nil && dl.Native {
		k.attempts, k.dead = max(1, dl.Attempts), topology.ChannelName(dl.Channel)
	}
	return k
}

func (k *kept) metadata() map[string]string {
	return map[string]string{
		metaParts: strconv.Itoa(k.parts), metaOrdered: strconv.FormatBool(k.ordered),
		metaAttempts: strconv.Itoa(k.attempts), metaDead: k.dead,
	}
}

func keptFrom(channel string, meta map[string]string) (*kept, error) {
	k := &kept{channel: channel, dead: meta[metaDead]}
	var err [3]error
	k.parts, err[0] = strconv.Atoi(cmp.Or(meta[metaParts], "1"))
	k.ordered, err[1] = strconv.ParseBool(cmp.Or(meta[metaOrdered], "false"))
	k.attempts, err[2] = strconv.Atoi(cmp.Or(meta[metaAttempts], "0"))
	return k, errors.Join(err[:]...)
}

// Declare makes a stream for each channel, with one subject a part, and a durable consumer for each
// of its groups and parts. A channel that is dead-lettered natively gets a second stream, of the
// server's advisories about messages that it has given up. A transient channel needs nothing. A
// channel with a level ":id" is ErrUnsupported.
func (c *Client) Declare(ctx context.Context, channels []*topology.Channel) error {
	for _, ch := range channels {
		if strings.Contains(topology.ChannelName(ch.Ref), ":") {
			return fmt.Errorf("declare %q: a channel for each id: %w", ch.Ref, conn.ErrUnsupported)
		}
		if err := c.declare(ctx, ch); err != nil {
			return fmt.Errorf("declare %q over %s: %w", ch.Ref, c.cfg.Dialer.Wire(), err)
		}
	}
	return nil
}

func (c *Client) declare(ctx context.Context, ch *topology.Channel) error {
	k := keptOf(ch)
	if k.transient {
		c.remember(k)
		return nil
	}
	if err := c.makeStream(ctx, jetstream.StreamConfig{
		Name: Token(k.channel), Subjects: []string{Token(k.channel) + ".*"},
		Storage: jetstream.FileStorage, MaxAge: ch.TTL, Metadata: k.metadata(), AllowDirect: true,
	}); err != nil {
		return err
	}
	k, err := c.find(ctx, k.channel) // as whoever was first has made it
	if err != nil {
		return err
	}
	if k.dead != "" {
		if err := c.declareDead(ctx, k); err != nil {
			return err
		}
	}
	for _, group := range ch.Groups {
		if err := c.makeConsumers(ctx, k, group); err != nil {
			return err
		}
	}
	return nil
}

// makeStream makes a stream, or leaves the one of its name as it is.
func (c *Client) makeStream(ctx context.Context, cfg jetstream.StreamConfig) error {
	l, err := c.link()
	if err != nil {
		return err
	}
	ctx, cancel := l.limit(ctx)
	defer cancel()
	_, err = l.js.CreateStream(ctx, cfg)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil
	}
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) {
		return fmt.Errorf("%w: %w; start the server with JetStream (-js)", conn.ErrRefused, err)
	}
	return err
}

// makeConsumers makes a group's durable consumers, one a part; existing ones are left as they are.
func (c *Client) makeConsumers(ctx context.Context, k *kept, group string) error {
	l, err := c.link()
	if err != nil {
		return err
	}
	for part := range k.parts {
		limited, cancel := l.limit(ctx)
		_, err := l.js.CreateConsumer(limited, Token(k.channel), k.consumer(group, part))
		cancel()
		if err != nil && !errors.Is(err, jetstream.ErrConsumerExists) {
			return fmt.Errorf("make consumer of group %q: %w", group, err)
		}
	}
	return nil
}

func (k *kept) consumer(group string, part int) jetstream.ConsumerConfig {
	cfg := jetstream.ConsumerConfig{
		Durable: consumerName(group, part), FilterSubject: subject(k.channel, part),
		DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: ackWait, MaxAckPending: mostAckPending, MaxDeliver: -1,
	}
	if k.attempts > 0 {
		cfg.MaxDeliver = k.attempts
	}
	return cfg
}

func consumerName(group string, part int) string {
	return Token(group) + "_" + strconv.Itoa(part)
}

// find is what is known of a channel: from its declaration, or from its stream.
func (c *Client) find(ctx context.Context, channel string) (*kept, error) {
	c.mu.Lock()
	k := c.known[channel]
	c.mu.Unlock()
	if k != nil {
		return k, nil
	}
	l, err := c.link()
	if err != nil {
		return nil, err
	}
	limited, cancel := l.limit(ctx)
	defer cancel()
	s, err := l.js.Stream(limited, Token(channel))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("%w: %s has no stream %q; declare channel %q",
			conn.ErrRefused, c.cfg.Dialer.Wire(), Token(channel), channel)
	}
	if err != nil {
		return nil, fmt.Errorf("find stream %q: %w", Token(channel), err)
	}
	k, err = keptFrom(channel, s.CachedInfo().Config.Metadata)
	if err != nil {
		return nil, fmt.Errorf("read metadata of stream %q: %w", Token(channel), err)
	}
	c.remember(k)
	return k, nil
}

func (c *Client) remember(k *kept) {
	c.mu.Lock()
	c.known[k.channel] = k
	c.mu.Unlock()
}
