package container

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"

	"github.com/faultline-sim/faultline/topology/engine"
)

// newRedis is a Redis server. Each write is in its file before it is answered, so a kill loses
// nothing that was.
func newRedis(e *Engine) (engine.Engine, error) {
	e.product = product{
		port: 6379, data: "/data", signal: "SIGTERM", asked: "PING",
		dress: func(*member) dress {
			return dress{command: []string{"redis-server", "--dir", "/data",
				"--appendonly", "yes", "--save", "", "--protected-mode", "no"}}
		},
		probe: e.probing(ping),
	}
	return e, nil
}

// probing is a probe over a connection of its own.
func (e *Engine) probing(
	ask func(ctx context.Context, c net.Conn) error,
) func(ctx context.Context, m *member) error {
	return func(ctx context.Context, m *member) error {
		c, err := e.dial(ctx, m)
		if err != nil {
			return err
		}
		defer c.Close()
		defer context.AfterFunc(ctx, func() { c.Close() })()
		return ask(ctx, c)
	}
}

func ping(_ context.Context, c net.Conn) error {
	if _, err := io.WriteString(c, "*1\r\n$4\r\nPING\r\n"); err != nil {
		return err
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && answer != "+PONG\r\n" {
		err = fmt.Errorf("PING was answered %q", answer)
	}
	return err
}
