package container

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/faultline-sim/faultline/topology/engine"
)

// newPubSub is Google's emulator of Pub/Sub, which keeps all in memory: it is gone with its
// process. What is here follows Google's documentation and has not been tried: no test starts it,
// since .ci/docker has no packages to make a stand-in for its image from.
func newPubSub(e *Engine) (engine.Engine, error) {
	e.product = product{
		port: 8085, signal: "SIGTERM", asked: `"Ok" at its root`,
		dress: func(*member) dress {
			return dress{command: []string{"gcloud", "beta", "emulators", "pubsub", "start",
				"--host-port=0.0.0.0:8085", "--project=faultline"}}
		},
		probe: e.probing(root),
	}
	return e, nil
}

// root asks the emulator's port by HTTP, which it takes beside gRPC.
func root(_ context.Context, c net.Conn) error {
	const ask = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(c, ask); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("its root was answered %s", answer.Status)
	}
	return nil
}
