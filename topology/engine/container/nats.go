package container

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/faultline-sim/faultline/topology/engine"
)

// newNATS is a NATS server with JetStream. A publish is in its file before it is answered, and the
// file is synced each two minutes: a kill loses nothing that was answered.
func newNATS(e *Engine) (engine.Engine, error) {
	e.product = product{
		port: 4222, data: "/data", signal: "SIGTERM", asked: "a PONG of a server with JetStream",
		dress: func(*member) dress {
			return dress{
				command: []string{"nats-server", "--config", natsConfig},
				files:   map[string]string{natsConfig: natsConf},
			}
		},
		probe: e.probing(pong),
	}
	return e, nil
}

const natsConfig = "/etc/nats/faultline.conf"

// natsConf lets the server ask silent clients every two seconds, as the one in this process does.
const natsConf = `port: 4222
jetstream { store_dir: "/data" }
ping_interval: "2s"
ping_max: 2
`

// pong greets the server as a client and asks whether it is there.
//
// Source: NATS client protocol, INFO, CONNECT, PING and PONG.
func pong(_ context.Context, c net.Conn) error {
	answers := bufio.NewReader(c)
	info, err := answers.ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(info, "INFO ") || !strings.Contains(info, `"jetstream":true`) {
		return fmt.Errorf("it greets with %.200q", info)
	}
	if _, err := io.WriteString(c, "CONNECT {\"verbose\":false}\r\nPING\r\n"); err != nil {
		return err
	}
	answer, err := answers.ReadString('\n')
	if err == nil && answer != "PONG\r\n" {
		err = fmt.Errorf("PING was answered %.200q", answer)
	}
	return err
}
