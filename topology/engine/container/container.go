// Package container runs brokers and stores as containers, each the product itself.
//
// It serves the run step of load → plan → run → check → report, behind the same interface as the
// engines in this process. It promises that ports are published on 127.0.0.1 alone and stay the same
// over a restart, that whatever it makes is labelled with its run and its owner, and that Close
// leaves nothing. It asks whether a container answers by the fabric and imports no client, no
// simulator, no scenario. It alone, with the rest of topology/engine, may import testcontainers.
package container

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/features"
)

// New prepares the engine for the protocol of cfg's node; nothing is made before its Fetch or
// Start. All of them are engine.Fetcher, Pauser, Limiter, DiskFiller, Cutter, Disconnecter and
// Metered; Kafka is LeaderMover and LeaderLoser too.
func New(cfg engine.Config) (engine.Engine, error) {
	makers := map[string]func(*Engine) (engine.Engine, error){
		"amqp":     newRabbitMQ,
		"kafka":    newKafka,
		"kinesis":  newMoto,
		"mqtt":     newMQTT,
		"nats":     newNATS,
		"postgres": newPostgres,
		"pubsub":   newPubSub,
		"redis":    newRedis,
		"s3":       newMoto,
		"sns":      newMoto,
		"sqs":      newMoto,
	}
	protocol := cfg.Node.Protocol
	make, ok := makers[protocol]
	if !ok {
		return nil, fmt.Errorf("choose engine for %q: no container speaks %q; there are %s",
			cfg.Node.Name, protocol, strings.Join(slices.Sorted(maps.Keys(makers)), ", "))
	}
	if cfg.Authenticate != nil && protocol != "mqtt" {
		return nil, fmt.Errorf("make %s engine %q: it cannot check passwords", protocol, cfg.Node.Name)
	}
	return make(newEngine(cfg))
}

func newEngine(cfg engine.Config) *Engine {
	f, _ := features.Of(features.Container, cfg.Node)
	image := cfg.Image
	if image == "" {
		image = f.Image
	}
	e := &Engine{
		cfg:   cfg,
		image: image,
		info:  engine.Info{Features: withoutUnable(f, cfg.Authenticate != nil), Version: image},
		name:  "faultline-" + strings.ToLower(rand.Text()[:10]),
	}
	for i := range max(1, cfg.Node.Brokers) {
		e.members = append(e.members, &member{number: i, name: fmt.Sprintf("%s-%d", e.name, i)})
	}
	return e
}
