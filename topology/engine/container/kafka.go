package container

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/faultline-sim/faultline/topology/engine"
)

// kafka is an Apache Kafka cluster in KRaft mode; each member is broker and controller in one.
type kafka struct{ *Engine }

// The ports inside a container.
const (
	clientPort     = 9092
	controllerPort = 9093
	memberPort     = 9094
)

// cluster is the id of every cluster; they never meet.
const cluster = "RmF1bHRsaW5lQ2x1c3Rlcg"

// kafkaData is where a broker keeps its log.
const kafkaData = "/var/lib/kafka/data"

func newKafka(e *Engine) (engine.Engine, error) {
	k := &kafka{e}
	e.product = product{
		port: clientPort, data: kafkaData, signal: "SIGTERM",
		asked: fmt.Sprintf("metadata with %d brokers and all leaders", len(e.members)),
		dress: k.dress,
		probe: k.probe,
	}
	return k, nil
}

// dress is a member's configuration. The image's own user may not write to a disk in memory.
func (k *kafka) dress(m *member) dress {
	if k.cfg.Disk > 0 {
		return dress{env: k.env(m), user: "0"}
	}
	return dress{env: k.env(m)}
}

// env is a member's configuration, as the image takes it. Three copies and two of them in step are
// what a cluster in earnest has; the rest makes starts, groups and failovers quick enough for a
// scenario.
func (k *kafka) env(m *member) map[string]string {
	n := len(k.members)
	copies, inStep := min(3, n), max(1, min(3, n)-1)
	self := "127.0.0.1"
	if n > 1 {
		self = m.alias()
	}
	set := map[string]string{
		"CLUSTER_ID":                       cluster,
		"KAFKA_NODE_ID":                    strconv.Itoa(m.number),
		"KAFKA_PROCESS_ROLES":              "broker,controller",
		"KAFKA_CONTROLLER_QUORUM_VOTERS":   k.voters(),
		"KAFKA_CONTROLLER_LISTENER_NAMES":  "CONTROLLER",
		"KAFKA_INTER_BROKER_LISTENER_NAME": "MEMBER",
		"KAFKA_LISTENERS":                  listeners(),
		"KAFKA_ADVERTISED_LISTENERS":       advertised(self, m.port),
		"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CLIENT:PLAINTEXT,MEMBER:PLAINTEXT," +
			"CONTROLLER:PLAINTEXT",
		"KAFKA_LOG_DIRS":                                 kafkaData,
		"KAFKA_AUTO_CREATE_TOPICS_ENABLE":                "false",
		"KAFKA_DEFAULT_REPLICATION_FACTOR":               strconv.Itoa(copies),
		"KAFKA_MIN_INSYNC_REPLICAS":                      strconv.Itoa(inStep),
		"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":         strconv.Itoa(copies),
		"KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS":             "6",
		"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": strconv.Itoa(copies),
		"KAFKA_TRANSACTION_STATE_LOG_MIN_ISR":            strconv.Itoa(inStep),
		"KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS":     "6",
		"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS":         "0",
		"KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS":             "500",
		"KAFKA_BROKER_HEARTBEAT_INTERVAL_MS":             "500",
		"KAFKA_BROKER_SESSION_TIMEOUT_MS":                "3000",
		"KAFKA_AUTO_LEADER_REBALANCE_ENABLE":             "false",
		"KAFKA_LOG4J_ROOT_LOGLEVEL":                      "WARN",
		"KAFKA_HEAP_OPTS":                                "-Xms256m -Xmx512m",
		"KAFKA_JVM_PERFORMANCE_OPTS":                     "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
	}
	if k.cfg.Disk > 0 {
		// A log takes at least this much of a small disk; the default would take all of it.
		set["KAFKA_LOG_SEGMENT_BYTES"] = strconv.FormatInt(max(1<<20, k.cfg.Disk/64), 10)
		set["KAFKA_LOG_INDEX_SIZE_MAX_BYTES"] = strconv.Itoa(64 << 10)
	}
	return set
}

func (k *kafka) voters() string {
	if len(k.members) == 1 {
		return fmt.Sprintf("0@127.0.0.1:%d", controllerPort)
	}
	var all []string
	for _, m := range k.members {
		all = append(all, fmt.Sprintf("%d@%s:%d", m.number, m.alias(), controllerPort))
	}
	return strings.Join(all, ",")
}

// listeners are those of one member, on all of its container's addresses.
func listeners() string {
	return fmt.Sprintf("CLIENT://0.0.0.0:%d,MEMBER://0.0.0.0:%d,CONTROLLER://0.0.0.0:%d", clientPort,
		memberPort, controllerPort)
}

// advertised is what clients and members are told: clients come by the published port.
func advertised(self string, published int) string {
	return fmt.Sprintf("CLIENT://127.0.0.1:%d,MEMBER://%s:%d", published, self, memberPort)
}

// probe asks one broker for its view of the cluster, which must have all members and a controller,
// and a leader for each partition.
func (k *kafka) probe(ctx context.Context, m *member) error {
	c, err := k.client(m)
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := metadata(ctx, c)
	if err != nil {
		return err
	}
	if n := len(answer.Brokers); n != len(k.members) || answer.ControllerID < 0 {
		return fmt.Errorf("metadata names %d of %d brokers and controller %d", n, len(k.members),
			answer.ControllerID)
	}
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("partition %d of %s: %w", p.Partition, *t.Topic, err)
			}
		}
	}
	return nil
}

// client asks members only, each at its own published port.
func (k *kafka) client(members ...*member) (*kgo.Client, error) {
	var seeds []string
	for _, m := range members {
		seeds = append(seeds, net.JoinHostPort("127.0.0.1", strconv.Itoa(m.port)))
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.Dialer(k.dialAddr), kgo.RequestRetries(2),
		kgo.MetadataMinAge(askEvery))
	if err != nil {
		return nil, fmt.Errorf("make kafka client: %w", err)
	}
	return c, nil
}

func (k *kafka) dialAddr(ctx context.Context, _, addr string) (net.Conn, error) {
	for _, m := range k.members {
		if addr == net.JoinHostPort("127.0.0.1", strconv.Itoa(m.port)) {
			return k.dial(ctx, m)
		}
	}
	return nil, fmt.Errorf("dial %s: no member has this address", addr)
}

// metadata asks any seed for all topics.
func metadata(ctx context.Context, c *kgo.Client) (*kmsg.MetadataResponse, error) {
	answer, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("ask for metadata: %w", err)
	}
	return answer, nil
}

var (
	_ engine.LeaderMover = (*kafka)(nil)
	_ engine.LeaderLoser = (*kafka)(nil)
)
