//go:build containers

package container_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/kafka"
	"github.com/faultline-sim/faultline/simulators/conn/mqtt"
	"github.com/faultline-sim/faultline/simulators/conn/postgres"
	"github.com/faultline-sim/faultline/simulators/conn/redis"
	"github.com/faultline-sim/faultline/simulators/conn/s3"
	"github.com/faultline-sim/faultline/simulators/message"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
)

// user is a client that puts numbered messages into an engine and looks how many are there.
type user interface {
	put(ctx context.Context, n int64) error
	count(ctx context.Context) (int, error)
}

func (b bed) user(t *testing.T) user {
	t.Helper()
	cfg := conn.Config{Dialer: b.dialer(), Client: "app"}
	var u user
	var close func() error
	switch b.node.Protocol {
	case "kafka":
		c := kafka.New(cfg)
		u, close = reader{c, b.node.Name}, c.Close
	case "mqtt":
		s := newSubscriber(b)
		u, close = s, s.close
	case "amqp":
		return queue{b}
	case "nats":
		return stream{b}
	case "kinesis", "sns", "sqs":
		r := services[b.node.Protocol]
		r.bed = b
		return r
	default:
		c, err := stores[b.node.Protocol](cfg)
		if err != nil {
			t.Fatal(err)
		}
		u, close = table{c}, c.Close
	}
	t.Cleanup(func() { close() })
	return u
}

var stores = map[string]func(conn.Config) (conn.Store, error){
	"s3":       func(c conn.Config) (conn.Store, error) { return s3.New(c) },
	"postgres": func(c conn.Config) (conn.Store, error) { return postgres.New(c) },
	"redis":    func(c conn.Config) (conn.Store, error) { return redis.New(c) },
}

func numbered(n int64) *message.Message {
	return &message.Message{
		Flow: "telemetry", Number: n, Source: "test", ParentNumber: -1, Key: "k", KeySeq: n,
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Data: fmt.Appendf(nil, `{"n":%d,"text":%q}`, n, strings.Repeat("x", 16<<10)),
	}
}

// table is a store's user.
type table struct{ conn.Store }

func (s table) put(ctx context.Context, n int64) error {
	if err := s.Declare(ctx, []string{"records"}); err != nil {
		return err
	}
	return s.Put(ctx, "records", []*message.Message{numbered(n)})
}

func (s table) count(ctx context.Context) (n int, err error) {
	if err := s.Declare(ctx, []string{"records"}); err != nil {
		return 0, err
	}
	err = s.Audit(ctx, "records", func(*message.Message, int) error { n++; return nil })
	return n, err
}

// reader is a Kafka topic's user.
type reader struct {
	*kafka.Client
	node string
}

func (r reader) declare(ctx context.Context) (err error) {
	return again(ctx, func() error {
		if err := r.Connect(ctx); err != nil {
			return err
		}
		return r.Declare(ctx, []*topology.Channel{{Ref: r.node + "/events", Parallel: 6}})
	})
}

func (r reader) put(ctx context.Context, n int64) error {
	if err := r.declare(ctx); err != nil {
		return err
	}
	return again(ctx, func() error {
		_, err := r.Publish(ctx, "events", numbered(n))
		return err
	})
}

// again does what may fail while a cluster finds its leaders, until it does not.
func again(ctx context.Context, do func() error) error {
	err := do()
	for err != nil && ctx.Err() == nil {
		err = do()
	}
	return err
}

func (r reader) count(ctx context.Context) (n int, err error) {
	if err := r.declare(ctx); err != nil {
		return 0, err
	}
	err = again(ctx, func() error {
		n = 0
		return r.Audit(ctx, "events", func(*message.Message) error { n++; return nil })
	})
	return n, err
}

// subscriber is an MQTT broker's user: a session that is away while messages are put, and counts
// those that wait for it when it comes back.
type subscriber struct {
	bed bed
	pub *mqtt.Client
}

func newSubscriber(b bed) *subscriber {
	return &subscriber{b, mqtt.New(conn.Config{Dialer: b.dialer(), Client: "pub", Session: quick})}
}

// quick comes back soon, and keeps its session.
var quick = topology.Session{Reconnect: policy.Backoff{
	Initial: 10 * time.Millisecond, Factor: 2, Max: 100 * time.Millisecond,
}}

func (s *subscriber) close() error { return s.pub.Close() }

func (s *subscriber) put(ctx context.Context, n int64) error {
	if _, err := s.visit(ctx, 0); err != nil {
		return err
	}
	if err := s.pub.Connect(ctx); err != nil {
		return err
	}
	_, err := s.pub.Publish(ctx, "telemetry/1", numbered(n))
	return err
}

// visit subscribes, takes so many messages without acknowledging them, and goes.
func (s *subscriber) visit(ctx context.Context, messages int) (int, error) {
	c := mqtt.New(conn.Config{Dialer: s.bed.dialer(), Client: "sub", Session: quick})
	defer c.Close()
	defer c.Crash()
	if err := c.Connect(ctx); err != nil {
		return 0, err
	}
	got := make(chan conn.Delivery, 100)
	err := c.Subscribe(ctx, conn.Subscription{
		Channel: "telemetry/:id", Handle: func(d conn.Delivery) { got <- d },
	})
	if err != nil {
		return 0, err
	}
	for n := range messages {
		select {
		case <-got:
		case <-ctx.Done():
			return n, nil
		}
	}
	return messages, nil
}

// soon is how long a message that is not there is waited for.
const soon = 2 * time.Second

func (s *subscriber) count(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	n, err := s.visit(ctx, 2)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("nobody answers: %w", err)
	}
	return n, err
}

// count is how many messages the user finds.
func count(t *testing.T, b bed, u user) int {
	t.Helper()
	n, err := u.count(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
