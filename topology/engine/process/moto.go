package process

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"

	"github.com/faultline-sim/faultline/topology/engine"
)

// Moto is a moto server. It implements engine.Throttler beside what Engine does.
type Moto struct{ *Engine }

// newMoto is a moto server, which keeps all in memory: it is gone with its process. It answers for
// all of its services; which one it is asked for when it is to be ready is what differs, since it
// loads each at its first request.
func newMoto(e *Engine) (engine.Engine, error) {
	e.product = product{
		ports: 1, asked: MotoAsked(e.cfg.Node.Protocol),
		files: func() map[string]string {
			files := map[string]string{}
			for name, text := range MotoFiles() {
				files[confDir+"/"+name] = text
			}
			return files
		},
		command: e.moto,
		probe: func(c net.Conn) error {
			version := motoVersion(e.child.Load())
			e.version.Store(&version)
			return AskMoto(e.cfg.Node.Protocol, c)
		},
	}
	return &Moto{e}, nil
}

// Throttle answers what is beyond so many requests a second with the service's own error.
func (m *Moto) Throttle(ctx context.Context, perSecond float64) (func(context.Context) error, error) {
	if m.child.Load() == nil {
		return nil, errors.New("throttle moto: it is stopped")
	}
	if err := m.rate(ctx, perSecond); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return m.rate(ctx, 0) }, nil
}

func (m *Moto) rate(ctx context.Context, perSecond float64) error {
	c, err := m.cfg.Host.Dial(ctx, 0)
	if err != nil {
		return fmt.Errorf("throttle moto: %w", err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	return ThrottleMoto(c, perSecond)
}

var _ engine.Throttler = (*Moto)(nil)

// motoFiles are what Python reads before it runs the server.
//
//go:embed moto/*.py
var motoFiles embed.FS

// MotoFiles are the files that must be found on PYTHONPATH when a moto server is started, text by
// name. They make it keep what its services promise, and let it throttle.
func MotoFiles() map[string]string {
	files := map[string]string{}
	all, _ := motoFiles.ReadDir("moto") // it is part of the program
	for _, f := range all {
		text, _ := motoFiles.ReadFile("moto/" + f.Name())
		files[f.Name()] = string(text)
	}
	return files
}

func (e *Engine) moto(path string) command {
	return command{
		path: path,
		args: []string{"-H", "127.0.0.1", "-p", strconv.Itoa(e.ports[0])},
		env: map[string]string{
			"PYTHONPATH": e.at(confDir), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1",
			"TMPDIR": e.at(tempDir), // large objects
		},
		drop: []string{"MOTO_", "AWS_", "PYTHON", "INITIAL_NO_AUTH_ACTION_COUNT"},
	}
}

var motoSays = regexp.MustCompile(`(?m)^moto (\S+)$`)

func motoVersion(c *child) string {
	if m := motoSays.FindStringSubmatch(c.output.first()); m != nil {
		return m[1]
	}
	return "unknown"
}
