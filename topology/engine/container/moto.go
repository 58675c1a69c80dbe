package container

import (
	"context"
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
				files: map[string]string{motoSetting + "/sitecustomize.py": process.MotoSetting},
			}
		},
		probe: e.probing(func(_ context.Context, c net.Conn) error {
			return process.AskMoto(service, c)
		}),
	}
	return e, nil
}
