package process

import (
	"net"
	"regexp"
	"strconv"

	"github.com/faultline-sim/faultline/topology/engine"
)

// newMoto is a moto server, which keeps all in memory: it is gone with its process. It answers for
// all of its services; which one it is asked for when it is to be ready is what differs, since it
// loads each at its first request. It cannot be told to throttle, and each answer ends its
// connection.
func newMoto(e *Engine) (engine.Engine, error) {
	e.product = product{
		ports: 1, asked: MotoAsked(e.cfg.Node.Protocol),
		files: func() map[string]string {
			return map[string]string{confDir + "/sitecustomize.py": MotoSetting}
		},
		command: e.moto,
		probe: func(c net.Conn) error {
			version := motoVersion(e.child.Load())
			e.version.Store(&version)
			return AskMoto(e.cfg.Node.Protocol, c)
		},
	}
	return e, nil
}

// MotoSetting is a sitecustomize.py, which Python runs before its program, by whatever wrappers the
// program was started: it says moto's version, and that requests are no news.
const MotoSetting = `import importlib.metadata
import logging

logging.getLogger("werkzeug").setLevel(logging.ERROR)
try:
    print("moto", importlib.metadata.version("moto"), flush=True)
except importlib.metadata.PackageNotFoundError:
    pass  # Python without moto, on the way to the one that has it
`

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
