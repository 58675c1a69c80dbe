// Package kafka is the embedded Kafka cluster: kfake over the fabric's listeners.
//
// It serves the run step of load → plan → run → check → report. Each of the node's brokers listens
// as the replica of its number and is advertised at that replica's address. It promises that
// topics, records and committed offsets outlive Stop and Kill, in files below the engine's folder.
// It may not import a client, a simulator or the fabric.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/embedded/gate"
	"github.com/faultline-sim/faultline/topology/features"
)

// minSession lets consumers choose a session timeout short enough for a crash to be noticed
// within a scenario; Kafka's own least is 6 s.
const minSession = 500 * time.Millisecond

// Engine is one Kafka cluster. It implements engine.Engine, engine.LeaderMover,
// engine.Disconnecter and engine.WriteRefuser.
type Engine struct {
	cfg     engine.Config
	cluster *kfake.Cluster // nil while stopped
	gates   []*gate.Gate   // by broker
}

// New prepares an engine; nothing listens before Start.
func New(cfg engine.Config) (engine.Engine, error) {
	if cfg.Authenticate != nil {
		return nil, fmt.Errorf("make kafka engine %q: it cannot check passwords", cfg.Node.Name)
	}
	return &Engine{cfg: cfg}, nil
}

// brokers is the size of the cluster.
func (e *Engine) brokers() int { return max(1, e.cfg.Node.Brokers) }

// Start listens and returns when every broker answers a metadata request.
func (e *Engine) Start(ctx context.Context) error {
	if e.cluster != nil {
		return errors.New("start kafka: it runs already")
	}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(e.brokers()),
		kfake.ListenFn(e.listen),
		kfake.DataDir(e.cfg.Dir),
		kfake.GroupMinSessionTimeout(minSession),
		kfake.DefaultNumPartitions(1),
	)
	if err != nil {
		return errors.Join(fmt.Errorf("start kafka: %w", err), e.Kill(ctx))
	}
	e.cluster = cluster
	for i, g := range e.gates {
		if _, err := listTopics(ctx, g); err != nil {
			return errors.Join(fmt.Errorf("probe kafka broker %d: %w", i, err), e.Kill(ctx))
		}
	}
	return nil
}

// listen opens the next broker's listener; kfake asks for them in the brokers' order.
func (e *Engine) listen(string, string) (net.Listener, error) {
	l, err := e.cfg.Host.Listen(len(e.gates))
	if err != nil {
		return nil, err
	}
	g := gate.New(l)
	e.gates = append(e.gates, g)
	return g, nil
}

// Stop writes all state to disk, then ends every connection.
func (e *Engine) Stop(context.Context) error { return e.end(false) }

// Kill resets all connections first: no answer to a request in hand is sent. What had been
// answered is kept, because the imitation writes it before it answers.
func (e *Engine) Kill(context.Context) error { return e.end(true) }

func (e *Engine) end(abrupt bool) error {
	for _, g := range e.gates {
		g.Close()
		if abrupt {
			g.Drop(true)
		}
	}
	if e.cluster != nil {
		e.cluster.Close()
	}
	for _, g := range e.gates {
		g.Drop(false)
	}
	e.cluster, e.gates = nil, nil
	return nil
}

// Wipe forgets all topics, records and groups.
func (e *Engine) Wipe(context.Context) error {
	if e.cluster != nil {
		return errors.New("wipe kafka: it runs")
	}
	if err := os.RemoveAll(e.cfg.Dir); err != nil {
		return fmt.Errorf("wipe kafka: %w", err)
	}
	return nil
}

// MoveLeaders gives every partition of a topic, or of all topics, to the broker after its present
// leader.
func (e *Engine) MoveLeaders(ctx context.Context, topic string) (int, error) {
	switch {
	case e.cluster == nil:
		return 0, errors.New("move leaders: kafka is stopped")
	case e.brokers() < 2:
		return 0, fmt.Errorf("move leaders: %q has one broker, and a leader moves to another one; "+
			"declare brokers: 3", e.cfg.Node.Name)
	}
	topics := []string{topic}
	if topic == "" {
		var err error
		if topics, err = listTopics(ctx, e.gates[0]); err != nil {
			return 0, fmt.Errorf("list topics: %w", err)
		}
	}
	moved := 0
	for _, name := range topics {
		n, err := e.moveTopic(name)
		moved += n
		if err != nil {
			return moved, err
		}
	}
	return moved, nil
}

func (e *Engine) moveTopic(topic string) (int, error) {
	partitions := e.cluster.PartitionInfos(topic)
	if len(partitions) == 0 {
		return 0, fmt.Errorf("move leaders: no topic %q", topic)
	}
	for i, p := range partitions {
		next := (p.Leader + 1) % int32(e.brokers())
		if err := e.cluster.MoveTopicPartition(topic, p.Partition, next); err != nil {
			return i, fmt.Errorf("move leader of %q partition %d: %w", topic, p.Partition, err)
		}
	}
	return len(partitions), nil
}

// RefuseWrites answers every produce request that no partition has replicas enough, without
// writing anything.
func (e *Engine) RefuseWrites(context.Context) (func(context.Context) error, error) {
	if e.cluster == nil {
		return nil, errors.New("refuse writes: kafka is stopped")
	}
	cluster, healed := e.cluster, new(atomic.Bool)
	cluster.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if healed.Load() {
			cluster.DropControl()
			return nil, nil, false
		}
		cluster.KeepControl()
		return notEnoughReplicas(r.(*kmsg.ProduceRequest)), nil, true
	})
	return func(context.Context) error { healed.Store(true); return nil }, nil
}

func notEnoughReplicas(r *kmsg.ProduceRequest) *kmsg.ProduceResponse {
	answer := r.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range r.Topics {
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			one := kmsg.NewProduceResponseTopicPartition()
			one.Partition, one.ErrorCode = p.Partition, kerr.NotEnoughReplicas.Code
			topic.Partitions = append(topic.Partitions, one)
		}
		answer.Topics = append(answer.Topics, topic)
	}
	return answer
}

// DisconnectAll resets every connection of every broker.
func (e *Engine) DisconnectAll(context.Context) (int, error) {
	if e.cluster == nil {
		return 0, errors.New("disconnect clients: kafka is stopped")
	}
	n := 0
	for _, g := range e.gates {
		n += g.Drop(true)
	}
	return n, nil
}

// Info says what kfake is worth.
func (e *Engine) Info() engine.Info {
	return engine.InfoOf(features.Embedded, e.cfg.Node, engine.Version("github.com/twmb/franz-go/pkg/kfake"))
}

// Close stops the cluster and removes its files.
func (e *Engine) Close() error {
	if err := e.Kill(context.Background()); err != nil {
		return err
	}
	return e.Wipe(context.Background())
}

var (
	_ engine.Engine       = (*Engine)(nil)
	_ engine.LeaderMover  = (*Engine)(nil)
	_ engine.Disconnecter = (*Engine)(nil)
	_ engine.WriteRefuser = (*Engine)(nil)
)
