package cast

import (
	"fmt"
	"strings"

	"github.com/faultline-sim/faultline/simulators"
	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/amqp"
	"github.com/faultline-sim/faultline/simulators/conn/kafka"
	"github.com/faultline-sim/faultline/simulators/conn/kinesis"
	"github.com/faultline-sim/faultline/simulators/conn/mqtt"
	"github.com/faultline-sim/faultline/simulators/conn/nats"
	"github.com/faultline-sim/faultline/simulators/conn/postgres"
	"github.com/faultline-sim/faultline/simulators/conn/pubsub"
	"github.com/faultline-sim/faultline/simulators/conn/redis"
	"github.com/faultline-sim/faultline/simulators/conn/s3"
	"github.com/faultline-sim/faultline/simulators/conn/sns"
	"github.com/faultline-sim/faultline/simulators/conn/sqs"
	"github.com/faultline-sim/faultline/topology/claims"
)

// Clients are the clients of every protocol there is.
func Clients() simulators.Clients { return protocols{} }

type protocols struct{}

// Broker makes the client of a broker.
func (protocols) Broker(protocol string, c conn.Config) (conn.Broker, error) {
	switch protocol {
	case "amqp":
		return amqp.New(c), nil
	case "kafka":
		return kafka.New(c), nil
	case "kinesis":
		return kinesis.New(c), nil
	case "mqtt":
		return mqtt.New(c), nil
	case "nats":
		return nats.New(c), nil
	case "pubsub":
		return pubsub.New(c), nil
	case "sns":
		return sns.New(c, nil), nil
	case "sqs":
		return sqs.New(c), nil
	}
	return nil, fmt.Errorf("make client: %q is no broker's protocol, accepted: %s",
		protocol, strings.Join(claims.Protocols(), ", "))
}

// Store makes the client of a store.
func (protocols) Store(protocol string, c conn.Config) (conn.Store, error) {
	switch protocol {
	case "s3":
		return s3.New(c)
	case "postgres":
		return postgres.New(c)
	case "redis":
		return redis.New(c)
	}
	return nil, fmt.Errorf(
		"make client: %q is no store's protocol, accepted: postgres, redis, s3", protocol)
}
