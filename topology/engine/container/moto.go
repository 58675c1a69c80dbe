package container

import (
	"context"
	"errors"
	"net"

	"github.com/faultline-sim/faultline/topology/engine"
	"github.com/faultline-sim/faultline/topology/engine/process"
)

// motoSetting is where the server's Python finds its setting.
const motoSetting = "/faultline"

// newMoto is a moto server, which keeps all in memory: it is gone with its process. It answers for
// all of its services; which one it is asked for when it is to be ready is what differs.
func newMoto(e *Engine) (engine.Engine, error) {
	service := e.cfg.Node.Protocol
	e.product = product{
		port: 5000, signal: "SIGTERM", asked: process.MotoAsked(service),
		dress: func(*member) dress {
			return dress{
				env:   map[string]string{"MOTO_PORT": "5000", "PYTHONPATH": motoSetting},
				files: motoFiles(),
			}
		},
		probe: e.probing(func(_ context.Context, c net.Conn) error {
			return process.AskMoto(service, c)
		}),
	}
	return &moto{e}, nil
}

// moto is a moto server in a container.
type moto struct{ *Engine }

func motoFiles() map[string]string {
	files := map[string]string{}
	for name, text := range process.MotoFiles() {
		files[motoSetting+"/"+name] = text
	}
	return files
}

// Throttle answers what is beyond so many requests a second with the service's own error.
func (m *moto) Throttle(ctx context.Context, perSecond float64) (func(context.Context) error, error) {
	if !m.running {
		return nil, errors.New("throttle moto: it is stopped")
	}
	if err := m.rate(ctx, perSecond); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return m.rate(ctx, 0) }, nil
}

func (m *moto) rate(ctx context.Context, perSecond float64) error {
	return m.probing(func(_ context.Context, c net.Conn) error {
		return process.ThrottleMoto(c, perSecond)
	})(ctx, m.members[0])
}

var _ engine.Throttler = (*moto)(nil)
