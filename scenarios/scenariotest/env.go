package scenariotest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/faultline-sim/faultline/simulators"
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
// NAME_USER and NAME_TOKEN. Kafka's brokers tell their clients the addresses of this wire;
// connections are not encrypted.
//
// In real time a client may dial these addresses by itself. In virtual time they are no sockets:
// Dial reaches them, as it does in real time, so that one function serves both (see DialsByEnv).
//
// The replica is ready when it consumes what the node is declared to subscribe to, in the group
// that it was given, and listens where it was told to. The addresses stay the same when it is
// restarted.
type Env map[string]string

// Dial connects to a neighbour at one of its addresses in the environment. It is what a client
// library takes in the place of its own dialer:
//
//	net/http      http.Transport{DialContext: env.Dial}
//	kafka-go      kafka.Dialer{DialFunc: env.Dial}, kafka.Transport{Dial: env.Dial}
//	franz-go      kgo.Dialer(env.Dial)
//	pgx           config.DialFunc = env.Dial
//	go-redis      redis.Options{Dialer: env.Dial}
//	paho.mqtt     SetCustomOpenConnectionFn(func(u *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
//	                return env.Dial(ctx, "tcp", u.Host) })
//	gRPC          grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
//	                return env.Dial(ctx, "tcp", addr) }), with the target "passthrough:///" + addr
//
// An address that is no neighbour's is an error, and so is a call after the process has returned. In
// a copy of the environment it works as in the original.
func (e Env) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	r, err := e.replica()
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", addr, err)
	}
	return r.dial(ctx, network, addr)
}

// Listen listens at LISTEN_ADDR, for what others call: http.Server's Serve takes it. It is the only
// way to listen in virtual time. What is not closed is closed when the process has returned.
func (e Env) Listen(ctx context.Context) (net.Listener, error) {
	r, err := e.replica()
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return r.listen(ctx)
}

// processKey is the variable that says which process an environment is of.
const processKey = "FAULTLINE_PROCESS"

// running are the processes of all runs that have not returned yet, by the name in their
// environment: a map of strings cannot hold what dials, and libraries pass a dialer a context of
// their own.
var running struct {
	sync.Map // from string to *replica
	serial   atomic.Int64
}

// replica is one replica of a Process, from its start to its return.
type replica struct {
	name string // "worker[0]"
	net  simulators.Network
	uses *uses
}

// enter makes an environment that dials for the process. Call leave when the process has returned.
func (r *replica) enter(vars map[string]string) (env Env, leave func()) {
	key := fmt.Sprintf("%s#%d", r.name, running.serial.Add(1))
	env = Env{processKey: key}
	for name, value := range vars {
		env[name] = value
	}
	running.Store(key, r)
	return env, func() { running.Delete(key) }
}

var (
	errNoProcess = errors.New("this Env was made by hand; only that which a Process is given dials")
	errReturned  = errors.New("its process has returned")
)

func (e Env) replica() (*replica, error) {
	key, ok := e[processKey]
	if !ok {
		return nil, errNoProcess
	}
	r, ok := running.Load(key)
	if !ok {
		return nil, fmt.Errorf("%s: %w", key, errReturned)
	}
	return r.(*replica), nil
}

func (r *replica) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	r.uses.used(addr)
	return r.net.Dial(ctx, network, addr)
}

func (r *replica) listen(ctx context.Context) (net.Listener, error) {
	l, err := r.net.Listen(ctx)
	if err == nil {
		r.uses.used(l.Addr().String())
	}
	return l, err
}
