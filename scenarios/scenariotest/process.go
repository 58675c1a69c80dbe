package scenariotest

import (
	"context"
	"fmt"
	"maps"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/topology"
)

// Env is the environment of a Process. For each neighbour that the node dials it holds the address
// to dial, behind that wire's own Toxiproxy proxy and nobody else's, under the neighbour's short
// name in upper case with _ for all that is no letter or digit:
//
//	MQTT_URL             tcp://127.0.0.1:14711       a broker "mqtt" that speaks MQTT
//	STREAM_BROKERS       127.0.0.1:14712,…           a broker "stream" that speaks Kafka
//	STREAM_GROUP         worker1                     the consumer group to take its messages in
//	DATA_API_URL         http://127.0.0.1:14713      a service "data_api"
//	DATALAKE_URL         http://127.0.0.1:14714      a store "datalake" that speaks S3
//	DATA_WAREHOUSE_URL   postgres://faultline@…      a store "data_warehouse"
//	CACHE_URL            redis://127.0.0.1:14715     a store "cache"
//	LISTEN_ADDR          127.0.0.1:14716             where it is to listen, if others call it
//	REPLICA              0                           which of the node's replicas it is
//
// Where the node has one neighbour of a protocol its address also stands under MQTT_URL,
// KAFKA_BROKERS, S3_ENDPOINT, DATABASE_URL or REDIS_URL. A neighbour that asks for tokens has its
// NAME_USER and NAME_TOKEN. Kafka's brokers tell their clients the addresses of this wire, so a
// client needs no dialer of its own; connections are not encrypted.
//
// The replica is ready when it consumes what the node is declared to subscribe to, in the group
// that it was given, and listens where it was told to. The addresses stay the same when it is restarted.
type Env map[string]string

// processNode is the service or cloud that a name stands for.
func processNode(t *topology.Topology, name string) (string, error) {
	full, err := t.Resolve(name)
	if err != nil {
		return "", err
	}
	return full, isProgram(t.Node(full))
}

// processFunc is a process of the test's own as simulators call it.
func (c *code) processFunc(
	node string, do func(context.Context, Env) error,
) simulators.ProcessFunc {
	return func(ctx context.Context, env map[string]string) (err error) {
		name := fmt.Sprintf("%s[%s]", node, env["REPLICA"])
		c.begun(name)
		defer c.ended(name)
		err = errGone
		defer func() {
			if p := recover(); p != nil {
				err = panicked(p)
			}
			if ctx.Err() == nil {
				c.fault(early(name, err))
			}
		}()
		return do(ctx, maps.Clone(env))
	}
}

// early is a process that returned though nothing told it to.
func early(name string, err error) error {
	if err == nil {
		return fmt.Errorf("process %s returned by itself, nothing had ended its context", name)
	}
	return fmt.Errorf("process %s returned by itself: %w", name, err)
}
