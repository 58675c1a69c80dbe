package byhand

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	longPoll    = 500 * time.Millisecond
	mostFetch   = 1 << 20
	commitEvery = 10 * time.Millisecond
	session     = 1500 * time.Millisecond
	heartbeat   = 200 * time.Millisecond
)

func (p *Pipeline) makeTopics(ctx, _ context.Context, cfg Config) error {
	client := &kafka.Client{Addr: kafka.TCP(cfg.Kafka...), Transport: new(kafka.Transport)}
	request := &kafka.CreateTopicsRequest{}
	for _, name := range []string{events, alerts, changes} {
		request.Topics = append(request.Topics, kafka.TopicConfig{
			Topic: name, NumPartitions: partitions, ReplicationFactor: 1,
		})
	}
	answer, err := client.CreateTopics(ctx, request)
	if err != nil {
		return fmt.Errorf("make topics: %w", err)
	}
	for topic, err := range answer.Errors {
		if err != nil {
			return fmt.Errorf("make topic %q: %w", topic, err)
		}
	}
	client.Transport.(*kafka.Transport).CloseIdleConnections()
	return nil
}

// newWriter writes at once where nothing is under way, and else all that has gathered: never more
// than there are requests at once. The library allocates a whole batch however few are in it.
func newWriter(brokers []string) *kafka.Writer {
	return &kafka.Writer{
		Addr:         kafka.TCP(brokers...),
		Balancer:     kafka.Murmur2Balancer{},
		BatchSize:    workers * lanes,
		BatchTimeout: time.Microsecond,
		RequiredAcks: kafka.RequireAll,
		Transport:    &kafka.Transport{IdleTimeout: time.Hour},
	}
}

func newReader(cfg Config, topic, group string) *kafka.Reader {
	return kafka.NewReader(kafka.ReaderConfig{
		Brokers: cfg.Kafka, GroupID: group, Topic: topic,
		MinBytes: 1, MaxBytes: mostFetch, MaxWait: longPoll, CommitInterval: commitEvery,
		SessionTimeout: session, HeartbeatInterval: heartbeat, StartOffset: kafka.FirstOffset,
	})
}

// record is an event for a topic.
func record(topic string, e *event) kafka.Message {
	headers := make([]kafka.Header, 0, 10)
	e.each(func(name, value string) {
		if name != "traceparent" {
			name = "ce_" + name
		}
		headers = append(headers, kafka.Header{Key: name, Value: []byte(value)})
	})
	headers = append(headers, kafka.Header{Key: "content-type", Value: []byte(e.ContentType)})
	return kafka.Message{Topic: topic, Key: []byte(e.PartitionKey), Value: e.Data, Headers: headers}
}

// fromRecord is the event that a record is.
func fromRecord(m *kafka.Message) (*event, error) {
	return fromAttributes(func(name string) string {
		if name != "traceparent" {
			name = "ce_" + name
		}
		for i := range m.Headers {
			if m.Headers[i].Key == name {
				return string(m.Headers[i].Value)
			}
		}
		return ""
	}, m.Value)
}

// progress commits a record when it and all before it in its partition are done.
type progress struct {
	mu   sync.Mutex
	open map[int][]*step
}

// step is one record that was fetched.
type step struct {
	message kafka.Message
	done    bool
}

func (p *progress) begin(m kafka.Message) *step {
	s := &step{message: m}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[m.Partition] = append(p.open[m.Partition], s)
	return s
}

// end marks a record as done; it returns the last one that may be committed now, if there is one.
func (p *progress) end(s *step) (last kafka.Message, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.done = true
	open := p.open[s.message.Partition]
	for len(open) > 0 && open[0].done {
		last, ok = open[0].message, true
		open = open[1:]
	}
	p.open[s.message.Partition] = open
	return last, ok
}
