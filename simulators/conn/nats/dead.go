package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
)

// JetStream gives a message up after so many deliveries, or when a consumer terminates it, and
// says so in an advisory; it moves nothing. So a stream keeps the advisories, and whoever
// subscribes moves the messages that they name.
//
// Source: ADR-42 and the JetStream documentation of advisories.
const (
	givenUpSuffix = "_given-up" // "_g" begins no escape of Token
	mover         = "mover"
	advisories    = "$JS.EVENT.ADVISORY.CONSUMER."
)

// declareDead makes the stream of advisories, and the channel that given up messages are moved to.
func (c *Client) declareDead(ctx context.Context, k *kept) error {
	stream := Token(k.channel)
	err := c.makeStream(ctx, jetstream.StreamConfig{
		Name: stream + givenUpSuffix, Storage: jetstream.FileStorage,
		Subjects: []string{
			advisories + "MAX_DELIVERIES." + stream + ".*", advisories + "MSG_TERMINATED." + stream + ".*",
		},
	})
	if err != nil {
		return fmt.Errorf("keep advisories: %w", err)
	}
	l, err := c.link()
	if err != nil {
		return err
	}
	limited, cancel := l.limit(ctx)
	defer cancel()
	_, err = l.js.CreateConsumer(limited, stream+givenUpSuffix, jetstream.ConsumerConfig{
		Durable: mover, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: -1,
	})
	if err != nil && !errors.Is(err, jetstream.ErrConsumerExists) {
		return fmt.Errorf("make mover of given up messages: %w", err)
	}
	return c.declare(ctx, &topology.Channel{Ref: "/" + k.dead, Parallel: 1})
}

// moveGivenUp moves messages to the dead-letter channel until ctx ends, beside the group's other
// members.
func (s *subscription) moveGivenUp(ctx context.Context) {
	for misses := 1; ctx.Err() == nil; misses++ {
		if s.moveSome(ctx) == nil {
			misses = 0
			continue
		}
		if s.client.life.PauseBefore(ctx, misses+1) != nil {
			return
		}
	}
}

func (s *subscription) moveSome(ctx context.Context) error {
	l, err := s.client.link()
	if err != nil {
		return err
	}
	ctx, cancel := l.limit(ctx)
	defer cancel()
	consumer, err := l.js.Consumer(ctx, Token(s.Channel)+givenUpSuffix, mover)
	if err != nil {
		return err
	}
	batch, err := consumer.Fetch(16, jetstream.FetchContext(ctx))
	if err != nil {
		return err
	}
	for msg := range batch.Messages() {
		err = errors.Join(err, s.move(ctx, l.js, msg))
	}
	if failed := batch.Error(); failed != nil && !errors.Is(failed, context.DeadlineExceeded) {
		err = errors.Join(err, failed)
	}
	return err
}

// advisory is what the server says of a message that it has given up.
type advisory struct {
	Type       string `json:"type"`
	Sequence   uint64 `json:"stream_seq"`
	Deliveries int    `json:"deliveries"`
	Consumer   string `json:"consumer"`
}

// move publishes the message that an advisory names; when that does not work the advisory comes
// again.
func (s *subscription) move(ctx context.Context, js jetstream.JetStream, msg jetstream.Msg) error {
	var a advisory
	if err := json.Unmarshal(msg.Data(), &a); err != nil {
		return errors.Join(err, msg.Term())
	}
	stream, err := js.Stream(ctx, Token(s.Channel))
	if err != nil {
		return err
	}
	raw, err := stream.GetMsg(ctx, a.Sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return msg.Ack() // it has expired
	}
	if err != nil {
		return err
	}
	if err := s.publishDead(ctx, js, raw, a); err != nil {
		return err
	}
	return msg.DoubleAck(ctx)
}

func (s *subscription) publishDead(
	ctx context.Context, js jetstream.JetStream, raw *jetstream.RawStreamMsg, a advisory,
) error {
	out := &nats.Msg{Subject: subject(s.kept.dead, 0), Header: raw.Header, Data: raw.Data}
	m, err := fromMsg(raw.Header, raw.Data, nil)
	if err == nil {
		out = toMsg(out.Subject, m.With(func(m *message.Message) {
			headers := maps.Clone(m.Headers) // of an earlier time in the dead-letter channel
			if headers == nil {
				headers = map[string]string{}
			}
			maps.Copy(headers, a.headers(s.Channel, raw.Time))
			m.Headers = headers
		}))
	}
	_, err = js.PublishMsg(ctx, out, jetstream.WithRetryAttempts(0))
	return err
}

// headers are what JetStream knows of a message that it gave up.
func (a advisory) headers(origin string, published time.Time) map[string]string {
	reason := "max deliveries"
	if a.Type == "io.nats.jetstream.advisory.v1.terminated" {
		reason = "terminated"
	}
	return map[string]string{
		message.HeaderReason: reason, message.HeaderAttempts: strconv.Itoa(a.Deliveries),
		message.HeaderOrigin: origin, "published": published.UTC().Format(time.RFC3339Nano),
	}
}
