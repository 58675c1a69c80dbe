package process

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/wire"
	"github.com/faultline-sim/faultline/topology/wire/relay"
)

// surroundings are what one replica is given. Its environment has, for each neighbour that the node
// dials, the address to dial under the neighbour's short name in upper case, with _ for all that is
// no letter or digit:
//
//	MQTT_URL             tcp://127.0.0.1:14711       a broker "mqtt" that speaks MQTT
//	STREAM_BROKERS       127.0.0.1:14712,…           a broker "stream" that speaks Kafka
//	STREAM_GROUP         worker1                     the consumer group to take its messages in
//	EVENTS_URL           nats://127.0.0.1:14718      a broker "events" that speaks NATS
//	ORDERS_URL           amqp://guest:guest@127.…    a broker "orders" that speaks AMQP
//	QUEUES_URL           http://127.0.0.1:14719      a broker "queues" of Kinesis, SQS or SNS
//	TOPICS_HOST          127.0.0.1:14720             a broker "topics" that speaks Pub/Sub
//	DATA_API_URL         http://127.0.0.1:14713      a service or cloud "data_api"
//	DATALAKE_URL         http://127.0.0.1:14714      a store "datalake" that speaks S3
//	DATA_WAREHOUSE_URL   postgres://faultline@…      a store "data_warehouse"
//	CACHE_URL            redis://127.0.0.1:14715     a store "cache"
//	LEGACY_ADDR          127.0.0.1:14716             a node "legacy" whose protocol is tcp
//	MQTT_USER, MQTT_TOKEN                            for a neighbour that asks for tokens
//	LISTEN_ADDR, PORT    127.0.0.1:14717, 14717      where it is to listen
//	REPLICA              0                           which of the node's replicas it is
//
// Where the node has one neighbour of a protocol its address also stands under MQTT_URL,
// KAFKA_BROKERS, NATS_URL, AMQP_URL, DATABASE_URL, REDIS_URL, PUBSUB_EMULATOR_HOST, S3_ENDPOINT and
// AWS_ENDPOINT_URL_S3, or AWS_ENDPOINT_URL_KINESIS, _SQS and _SNS; beside those of Amazon stand
// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, beside Pub/Sub PUBSUB_PROJECT_ID. What the node's env: names takes
// the place of all of these. A function has LISTEN_ADDR and PORT only where others call it.
type surroundings struct {
	env     map[string]string
	awaited []*relay.Relay    // over which it must have begun to take messages before it is ready
	wires   map[string]string // the addresses of each neighbour
	words   map[string]string // what $listen, $port and $replica stand for
}

// general are the names that a protocol's address is also known by where a node has one neighbour
// that speaks it.
var general = map[string][]string{
	"mqtt": {"MQTT_URL"}, "kafka": {"KAFKA_BROKERS"}, "postgres": {"DATABASE_URL"},
	"redis": {"REDIS_URL"}, "s3": {"S3_ENDPOINT", "AWS_ENDPOINT_URL_S3"},
	"nats": {"NATS_URL"}, "amqp": {"AMQP_URL"}, "pubsub": {"PUBSUB_EMULATOR_HOST"},
	"kinesis": {"AWS_ENDPOINT_URL_KINESIS", "AWS_ENDPOINT_URL_DYNAMODB"},
	"sqs":     {"AWS_ENDPOINT_URL_SQS"},
	"sns":     {"AWS_ENDPOINT_URL_SNS", "AWS_ENDPOINT_URL_SQS"},
}

// amazon are the credentials of those who sign their requests.
var amazon = map[string]string{
	"AWS_ACCESS_KEY_ID": "faultline", "AWS_SECRET_ACCESS_KEY": "faultline",
	"AWS_REGION": "us-east-1",
}

// credentials are what clients of a protocol insist on having, though nobody checks it here.
var credentials = map[string]map[string]string{
	"s3": amazon, "kinesis": amazon, "sqs": amazon, "sns": amazon,
	"pubsub": {"PUBSUB_PROJECT_ID": "faultline"},
}

// surroundings opens the replica's way over each of the node's wires and says how each is called.
func (n *Node) surroundings(port *relay.Port, index int) (surroundings, error) {
	near := surroundings{
		env:   map[string]string{"REPLICA": strconv.Itoa(index)},
		wires: map[string]string{}, words: map[string]string{"replica": strconv.Itoa(index)},
	}
	byProtocol := map[string][]string{}
	for _, w := range n.Env.Topology.Wires() {
		if w.From != n.Node.Name {
			continue
		}
		far := n.Env.Topology.Node(w.To)
		relays, err := port.Out(far.Name, far.Protocol)
		if err != nil {
			return near, err
		}
		value, err := n.describe(&near, far, relays, index)
		if err != nil {
			return near, err
		}
		byProtocol[far.Protocol] = append(byProtocol[far.Protocol], value)
		if n.consumes(far.Name) {
			near.awaited = append(near.awaited, relays[0])
		}
	}
	for protocol, values := range byProtocol {
		for _, name := range general[protocol] {
			if len(values) == 1 {
				near.env[name] = values[0]
			}
		}
		maps.Copy(near.env, credentials[protocol])
	}
	if !n.called && n.Run != nil {
		return near, nil
	}
	if err := near.listen(port); err != nil || n.Run != nil {
		return near, err
	}
	return near, near.add(n.Node.Own.Env)
}

// listen says where the replica is to listen.
func (s *surroundings) listen(port *relay.Port) error {
	addr, err := port.Inside()
	if err != nil {
		return err
	}
	_, number, err := net.SplitHostPort(addr)
	s.env["LISTEN_ADDR"], s.env["PORT"] = addr, number
	s.words["listen"], s.words["port"] = addr, number
	return err
}

// add puts what the node declares into the environment, over what is there.
func (s *surroundings) add(declared map[string]topology.Value) error {
	for name, value := range declared {
		text, err := value.Fill(s.place)
		if err != nil {
			return fmt.Errorf("fill in %s: %w", name, err)
		}
		s.env[name] = text
	}
	return nil
}

// fillAll is a command line with every place filled in.
func (s *surroundings) fillAll(values []topology.Value) ([]string, error) {
	words := make([]string, len(values))
	for i, v := range values {
		var err error
		if words[i], err = v.Fill(s.place); err != nil {
			return nil, fmt.Errorf("fill in the command: %w", err)
		}
	}
	return words, nil
}

// place is what a place in a value stands for.
func (s *surroundings) place(p topology.Part) (string, error) {
	switch {
	case p.Wire != "":
		text, ok := s.wires[p.Wire]
		if !ok {
			return "", fmt.Errorf("there is no wire to %q", p.Wire)
		}
		return text, nil
	case p.Env != "":
		text, ok := os.LookupEnv(p.Env)
		if !ok {
			return "", fmt.Errorf("the environment has no variable %s, set it before the run", p.Env)
		}
		return text, nil
	}
	return s.words[p.Word], nil
}

// describe puts a neighbour into the environment and returns its address.
func (n *Node) describe(
	near *surroundings, far *topology.Node, relays []*relay.Relay, index int,
) (string, error) {
	name := Name(n.Env.Topology.Short(far.Name))
	near.wires[far.Name] = addresses(relays)
	key, value := name+"_URL", "http://"+relays[0].Address()
	switch far.Protocol {
	case "tcp":
		key, value = name+"_ADDR", relays[0].Address()
	case "mqtt":
		value = "tcp://" + relays[0].Address()
	case "kafka":
		key, value = name+"_BROKERS", addresses(relays)
		near.env[name+"_GROUP"] = n.group(far.Name)
	case "nats":
		value = "nats://" + relays[0].Address()
	case "amqp":
		value = "amqp://guest:guest@" + relays[0].Address() + "/"
	case "pubsub":
		key, value = name+"_HOST", relays[0].Address()
	case "postgres":
		value = "postgres://faultline@" + relays[0].Address() + "/faultline?sslmode=disable"
	case "redis":
		value = "redis://" + relays[0].Address()
	}
	near.env[key] = value
	if far.Authenticates == "" {
		return value, nil
	}
	user := n.Node.Name + "-" + strconv.Itoa(index)
	token, err := n.authority.Issue(far.Authenticates, user)
	near.env[name+"_USER"], near.env[name+"_TOKEN"] = user, token
	return value, err
}

// Name is a node's short name as variables have it: upper case, all that is no letter or digit an
// underscore.
func Name(short string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToUpper(r)
		}
		return '_'
	}, short)
}

func addresses(relays []*relay.Relay) string {
	all := make([]string, len(relays))
	for i, r := range relays {
		all[i] = r.Address()
	}
	return strings.Join(all, ",")
}

// group is the consumer group that the node takes a broker's messages in; its depth tells when they
// are done with.
func (n *Node) group(broker string) string {
	for _, h := range n.Node.Handlers {
		if topology.ChannelNode(h.Source()) == broker && h.Group != "" {
			return h.Group
		}
	}
	return n.Node.Name
}

func (n *Node) consumes(broker string) bool {
	return slices.ContainsFunc(n.Node.Handlers, func(h *topology.Handler) bool {
		return h.Source() != "" && topology.ChannelNode(h.Source()) == broker
	})
}

// declare makes the channels and tables that the node's declaration names, over paths without
// faults, so that a function need not.
func (n *Node) declare(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(n.program.Channels)) {
		b, err := n.Clients.Broker(n.Env.Topology.Node(name).Protocol, n.config(name))
		if err != nil {
			return fmt.Errorf("make client of %q: %w", name, err)
		}
		err = b.Connect(ctx)
		if err == nil {
			err = b.Declare(ctx, n.program.Channels[name])
		}
		if err := firstOf(err, b.Close()); err != nil {
			return fmt.Errorf("declare channels on %q: %w", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.program.Tables)) {
		if n.makesTables(name) {
			continue
		}
		s, err := n.Clients.Store(n.Env.Topology.Node(name).Protocol, n.config(name))
		if err != nil {
			return fmt.Errorf("make client of %q: %w", name, err)
		}
		err = s.Connect(ctx)
		if err == nil {
			err = s.Declare(ctx, n.program.Tables[name])
		}
		if err := firstOf(err, s.Close()); err != nil {
			return fmt.Errorf("declare tables on %q: %w", name, err)
		}
	}
	return nil
}

// makesTables says that the program makes the tables of a store by itself: in a database they have
// columns, which are its own when it does not write envelopes.
func (n *Node) makesTables(store string) bool {
	return n.Node.Correlate != nil &&
		n.Env.Topology.Node(store).Protocol == "postgres"
}

// config is what a client on the node's behalf is made from.
func (n *Node) config(far string) conn.Config {
	c := conn.Config{
		Dialer: n.Env.Fabric.Dialer(topology.Wire{From: wire.AuditFrom, To: far}, 0),
		Client: n.Node.Name + "-declares",
	}
	if issuer := n.Env.Topology.Node(far).Authenticates; issuer != "" {
		c.User = c.Client
		c.Password = func() string {
			token, err := n.authority.Issue(issuer, c.User)
			if err != nil {
				return "" // refused by the broker, which says so
			}
			return token
		}
	}
	return c
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

var _ simulators.Node = (*Node)(nil)
