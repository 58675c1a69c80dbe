//go:build containers

package container_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	amqp "github.com/rabbitmq/amqp091-go"
)

// queue is a RabbitMQ server's user: a durable queue, and a connection for each visit.
type queue struct{ bed bed }

func (q queue) visit(ctx context.Context, do func(*amqp.Channel, amqp.Queue) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := amqp.DialConfig("amqp://guest:guest@127.0.0.1/", amqp.Config{
		Dial: func(string, string) (net.Conn, error) {
			c, err := q.bed.dialer().Dial(ctx)
			if err == nil {
				context.AfterFunc(ctx, func() { c.Close() }) // the client knows no context
			}
			return c, err
		},
	})
	if err != nil {
		return err
	}
	defer c.CloseDeadline(time.Now().Add(time.Second))
	channel, err := c.Channel()
	if err != nil {
		return err
	}
	events, err := channel.QueueDeclare("events", true, false, false, false, nil)
	if err != nil {
		return err
	}
	return do(channel, events)
}

func (q queue) put(ctx context.Context, n int64) error {
	return q.visit(ctx, func(channel *amqp.Channel, events amqp.Queue) error {
		if err := channel.Confirm(false); err != nil {
			return err
		}
		message := amqp.Publishing{DeliveryMode: amqp.Persistent, Body: numbered(n).Data}
		kept, err := channel.PublishWithDeferredConfirmWithContext(ctx, "", events.Name, true,
			false, message)
		if err != nil {
			return err
		}
		acknowledged, err := kept.WaitContext(ctx)
		if err == nil && !acknowledged {
			err = fmt.Errorf("message %d is refused", n)
		}
		return err
	})
}

func (q queue) count(ctx context.Context) (n int, err error) {
	err = q.visit(ctx, func(_ *amqp.Channel, events amqp.Queue) error {
		n = events.Messages
		return nil
	})
	return n, err
}

// stream is a NATS server's user: a stream in files, and a connection for each visit.
type stream struct{ bed bed }

// byFabric lets a NATS client dial over the fabric.
type byFabric struct {
	ctx context.Context
	bed bed
}

func (f byFabric) Dial(string, string) (net.Conn, error) { return f.bed.dialer().Dial(f.ctx) }

func (s stream) visit(ctx context.Context,
	do func(jetstream.JetStream, jetstream.Stream) error,
) error {
	c, err := nats.Connect("nats://127.0.0.1", nats.SetCustomDialer(byFabric{ctx, s.bed}),
		nats.NoReconnect(), nats.Timeout(time.Second))
	if err != nil {
		return err
	}
	defer c.Close()
	js, err := jetstream.New(c)
	if err != nil {
		return err
	}
	events, err := js.CreateOrUpdateStream(ctx,
		jetstream.StreamConfig{Name: "events", Subjects: []string{"events"}})
	if err != nil {
		return err
	}
	return do(js, events)
}

func (s stream) put(ctx context.Context, n int64) error {
	return s.visit(ctx, func(js jetstream.JetStream, _ jetstream.Stream) error {
		_, err := js.Publish(ctx, "events", numbered(n).Data)
		return err
	})
}

func (s stream) count(ctx context.Context) (n int, err error) {
	err = s.visit(ctx, func(_ jetstream.JetStream, events jetstream.Stream) error {
		info, err := events.Info(ctx)
		if err == nil {
			n = int(info.State.Msgs)
		}
		return err
	})
	return n, err
}

// resources is the user of one of moto's services: it makes streams, topics or queues, and lists
// them.
type resources struct {
	bed          bed
	content      string
	target       string // of the requests, up to the action
	create, list string // the action with its body; %d is a number
	each         string // is in the list once for each
}

var services = map[string]resources{
	"kinesis": {
		content: "application/x-amz-json-1.1", target: "Kinesis_20131202.",
		create: `CreateStream {"StreamName":"it-%d","ShardCount":1}`, list: "ListStreams {}",
		each: `"StreamName"`,
	},
	"sqs": {
		content: "application/x-amz-json-1.0", target: "AmazonSQS.",
		create: `CreateQueue {"QueueName":"it-%d"}`, list: "ListQueues {}", each: "/it-",
	},
	"sns": {
		content: "application/x-www-form-urlencoded",
		create:  "CreateTopic Action=CreateTopic&Version=2010-03-31&Name=it-%d",
		list:    "ListTopics Action=ListTopics&Version=2010-03-31", each: "</TopicArn>",
	},
}

func (s resources) ask(ctx context.Context, action string) (string, error) {
	action, body, _ := strings.Cut(action, " ")
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1/",
		strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", s.content)
	if s.target != "" {
		r.Header.Set("X-Amz-Target", s.target+action)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/"+
		s.bed.node.Protocol+"/aws4_request, SignedHeaders=host, Signature=none")
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return s.bed.dialer().Dial(ctx)
		},
	}}
	answer, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s was answered %s: %s", action, answer.Status, said)
	}
	return string(said), err
}

func (s resources) put(ctx context.Context, n int64) error {
	_, err := s.ask(ctx, fmt.Sprintf(s.create, n))
	if err != nil && strings.Contains(err.Error(), "ResourceInUse") {
		return nil // it is there
	}
	return err
}

func (s resources) count(ctx context.Context) (int, error) {
	said, err := s.ask(ctx, s.list)
	return strings.Count(said, s.each), err
}

func TestMotoServices(t *testing.T) {
	for service := range services {
		t.Run(service, func(t *testing.T) {
			b := up(t, node(service), nil)
			u := b.user(t)
			for n := range int64(3) {
				if err := u.put(b.ctx, n); err != nil {
					t.Fatal(err)
				}
			}
			if n := count(t, b, u); n != 3 {
				t.Errorf("running/want three of them, got %d", n)
			}
		})
	}
}

func TestMemoryAlarm(t *testing.T) {
	b := up(t, node("amqp"), nil)
	alarmed := b.engine.(interface {
		MemoryAlarm(context.Context) (func(context.Context) error, error)
	})
	bites(t, b, "memory alarm", alarmed.MemoryAlarm)
	heal, err := alarmed.MemoryAlarm(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	b.do(t, b.engine.Kill, heal)
	if _, err := alarmed.MemoryAlarm(b.ctx); err == nil {
		t.Error("memory alarm/killed/want an error")
	}
}
