package container

import (
	"context"
	"net"

	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/embedded/s3"
)

// newS3 is a moto server, which keeps objects in memory: they are gone with its process.
func newS3(e *Engine) (engine.Engine, error) {
	e.product = product{
		port: 5000, signal: "SIGTERM", asked: "a list of buckets",
		dress: func(*member) dress {
			return dress{env: map[string]string{"MOTO_PORT": "5000"}}
		},
		probe: e.probing(func(_ context.Context, c net.Conn) error { return s3.ListBuckets(c) }),
	}
	return e, nil
}
