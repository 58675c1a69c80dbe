// Package embedded chooses the engine that runs in this process for a protocol.
//
// It serves the run step of load → plan → run → check → report. Each protocol's engine lives in a
// folder of its own below this one.
package embedded

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/embedded/kafka"
	"github.com/faultline-sim/faultline/topology/engine/embedded/mqtt"
	"github.com/faultline-sim/faultline/topology/engine/embedded/nats"
	"github.com/faultline-sim/faultline/topology/engine/embedded/postgres"
	"github.com/faultline-sim/faultline/topology/engine/embedded/pubsub"
	"github.com/faultline-sim/faultline/topology/engine/embedded/redis"
	"github.com/faultline-sim/faultline/topology/engine/embedded/s3"
)

type maker func(engine.Config) (engine.Engine, error)

func makers() map[string]maker {
	return map[string]maker{
		"kafka":    kafka.New,
		"mqtt":     mqtt.New,
		"nats":     nats.New,
		"pubsub":   pubsub.New,
		"s3":       s3.New,
		"postgres": postgres.New,
		"redis":    redis.New,
	}
}

// Protocols are those that have an embedded engine, sorted.
func Protocols() []string { return slices.Sorted(maps.Keys(makers())) }

// New prepares the engine for the protocol of cfg's node; nothing listens before its Start.
func New(cfg engine.Config) (engine.Engine, error) {
	make, ok := makers()[cfg.Node.Protocol]
	if !ok {
		return nil, fmt.Errorf("choose engine for %q: no embedded one speaks %q; there are %s",
			cfg.Node.Name, cfg.Node.Protocol, strings.Join(Protocols(), ", "))
	}
	return make(cfg)
}
