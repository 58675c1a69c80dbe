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

// newS3 is a moto server, which keeps objects in memory: they are gone with its process.
func newS3(e *Engine) (engine.Engine, error) {
	e.product = product{
		port: 5000, signal: "SIGTERM", asked: "a list of buckets",
		dress: func(*member) dress {
			return dress{env: map[string]string{"MOTO_PORT": "5000"}}
		},
		probe: e.probing(listBuckets),
	}
	return e, nil
}

func listBuckets(_ context.Context, c net.Conn) error {
	const list = "GET / HTTP/1.1\r\nHost: s3.amazonaws.com\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(c, list); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("a list of buckets was answered %s", answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
