package relay_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/stack"
	"github.com/faultline-sim/faultline/topology/wire"
	"github.com/faultline-sim/faultline/topology/wire/relay"
)

// up is a Kafka cluster of three brokers with one topic, and two nodes that may talk to it.
func up(t *testing.T) wire.Fabric {
	t.Helper()
	s, err := stack.Up(t.Context(), stack.Options{
		Dir: t.TempDir(),
		Topology: &topology.Topology{Nodes: []*topology.Node{
			{Name: "stream", Kind: topology.Broker, Protocol: "kafka", Brokers: 3},
		}},
		Fabric: wire.Options{Wires: []topology.Wire{{From: "a", To: "stream"}, {From: "b", To: "stream"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	admin := kafka.Client{Addr: kafka.TCP(s.Fabric().Dialer(topology.Wire{From: wire.AuditFrom, To: "stream"}, 0).Endpoints()[0])}
	made, err := admin.CreateTopics(t.Context(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{
		{Topic: "jobs", NumPartitions: 6, ReplicationFactor: 1},
	}})
	if err := errors.Join(err, made.Errors["jobs"]); err != nil {
		t.Fatal(err)
	}
	return s.Fabric()
}

// out is a node's way to the cluster.
func out(t *testing.T, f wire.Fabric, node string) (*relay.Port, []*relay.Relay, []string) {
	t.Helper()
	p := relay.NewPort(f, node, 0)
	t.Cleanup(func() { p.Close() })
	relays, err := p.Out("stream", "kafka")
	if err != nil {
		t.Fatal(err)
	}
	var brokers []string
	for _, r := range relays {
		brokers = append(brokers, r.Address())
	}
	return p, relays, brokers
}

// client is one library's way of writing and of reading everything back in a group.
type client struct {
	write func(ctx context.Context, brokers []string, values ...string) error
	read  func(ctx context.Context, brokers []string, group string, n int) ([]string, error)
}

var clients = map[string]client{
	"kafka-go":         {writeKafkaGo, readKafkaGo},
	"franz-go":         {writeFranz, readFranz},
	"one to the other": {writeFranz, readKafkaGo},
}

func writeKafkaGo(ctx context.Context, brokers []string, values ...string) error {
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	w := &kafka.Writer{Addr: kafka.TCP(brokers...), Topic: "jobs", BatchTimeout: time.Millisecond, Transport: transport,
		Balancer: &kafka.RoundRobin{}, MaxAttempts: 1}
	defer w.Close()
	var all []kafka.Message
	for _, v := range values {
		all = append(all, kafka.Message{Value: []byte(v)})
	}
	return w.WriteMessages(ctx, all...)
}

func readKafkaGo(ctx context.Context, brokers []string, group string, n int) (got []string, err error) {
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: brokers, GroupID: group, Topic: "jobs", MaxWait: 50 * time.Millisecond})
	defer r.Close()
	for len(got) < n {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return got, err
		}
		got = append(got, string(m.Value))
	}
	return got, nil
}

func writeFranz(ctx context.Context, brokers []string, values ...string) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic("jobs"),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		return err
	}
	defer c.Close()
	var all []*kgo.Record
	for _, v := range values {
		all = append(all, kgo.StringRecord(v))
	}
	return c.ProduceSync(ctx, all...).FirstErr()
}

func readFranz(ctx context.Context, brokers []string, group string, n int) (got []string, err error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics("jobs"), kgo.ConsumerGroup(group))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for len(got) < n {
		fetches := c.PollFetches(ctx)
		if err := errors.Join(ctx.Err(), fetches.Err()); err != nil {
			return got, err
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	return got, c.CommitUncommittedOffsets(ctx)
}

// Every byte goes over the wire, to every broker: the fabric counts what there is, and a cut of the
// one wire leaves the other alone.
func TestKafkaClientsGoOverTheirOwnWire(t *testing.T) {
	for name, c := range clients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := up(t)
			_, relays, a := out(t, f, "a")
			_, _, b := out(t, f, "b")
			want := []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"}
			if err := c.write(t.Context(), a, want...); err != nil {
				t.Fatal(err)
			}
			got, err := c.read(t.Context(), a, "first", len(want))
			if slices.Sort(got); err != nil || !cmp.Equal(got, want) {
				t.Fatalf("read %v, %v", got, err)
			}
			<-relays[0].Answered()
			if sent, answered := f.Bytes(topology.Wire{From: "a", To: "stream"}); sent == 0 || answered == 0 {
				t.Errorf("%d and %d bytes counted on the wire", sent, answered)
			}
			if sent, answered := f.Bytes(topology.Wire{From: "b", To: "stream"}); sent+answered > 0 {
				t.Errorf("%d bytes went over another's wire", sent+answered)
			}
			cut, err := f.Inject(t.Context(), wire.Fault{Name: "cut", Wire: topology.Wire{From: "a", To: "stream"}, Replica: -1, Kind: wire.Cut})
			if err != nil {
				t.Fatal(err)
			}
			short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if err := c.write(short, a, "lost"); err == nil {
				t.Error("written over a wire that is cut")
			}
			if cut.Touched() == 0 {
				t.Error("the cut did not bite")
			}
			if got, err := c.read(t.Context(), b, "second", len(want)); err != nil || len(got) != len(want) {
				t.Errorf("the other wire: read %v, %v", got, err)
			}
			if err := cut.Heal(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := c.write(t.Context(), a, "after"); err != nil {
				t.Errorf("after the heal: %v", err)
			}
		})
	}
}

// echo is a process that answers over HTTP, behind its port.
func echo(t *testing.T, p *relay.Port) {
	t.Helper()
	addr, err := p.Inside()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	if _, err := p.In(); err != nil {
		t.Fatal(err)
	}
}

func TestAPort(t *testing.T) {
	before := runtime.NumGoroutine()
	f, err := wire.New(wire.Options{})
	if err != nil {
		t.Fatal(err)
	}
	near, far := relay.NewPort(f, "near", 0), relay.NewPort(f, "far", 0)
	relays, err := near.Out("far", "")
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	ask := func(ctx context.Context) error {
		r, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+relays[0].Address(), http.NoBody)
		answer, err := transport.RoundTrip(r)
		if err == nil {
			err = answer.Body.Close()
		}
		return err
	}
	if err := ask(t.Context()); err == nil {
		t.Error("answered though nobody listens")
	}
	echo(t, far)
	if err := ask(t.Context()); err != nil {
		t.Errorf("nobody answers: %v", err)
	}
	<-relays[0].Answered()
	thaw, ok := far.Freeze()
	if _, again := far.Freeze(); !ok || again {
		t.Error("frozen twice, or not at all")
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := ask(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a frozen process answers: %v", err)
	}
	thaw()
	if err := ask(t.Context()); err != nil {
		t.Errorf("a thawed process does not answer: %v", err)
	}
	far.Sever()
	if err := ask(t.Context()); err == nil {
		t.Error("a severed process answers")
	}
	transport.CloseIdleConnections()
	if err := errors.Join(near.Close(), far.Close(), f.Close()); err != nil {
		t.Error(err)
	}
	deadline := time.After(10 * time.Second)
	for runtime.NumGoroutine() > before+1 { // the echo's listener goes with the test
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}
