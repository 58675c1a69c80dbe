package postgres

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/faultline-sim/faultline/topology/engine/embedded/gate"
)

// The protocol's version 3.0, and the first bytes of the server's messages that a probe meets.
const (
	protocolVersion = 3 << 16
	authentication  = 'R'
	errorResponse   = 'E'
	readyForQuery   = 'Z'
	authPassword    = 3 // what an authentication message begins with when it asks for a password
)

// probe opens a session of its own up to the first ReadyForQuery, or to the question for a
// password, and asks nothing: by then a client's statement would be answered.
func probe(ctx context.Context, g *gate.Gate) error {
	c, err := g.Probe(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	const parameters = "user\x00probe\x00\x00"
	startup := binary.BigEndian.AppendUint32(nil, 8+uint32(len(parameters)))
	startup = binary.BigEndian.AppendUint32(startup, protocolVersion)
	if _, err := c.Write(append(startup, parameters...)); err != nil {
		return err
	}
	return awaitReady(bufio.NewReader(c))
}

func awaitReady(r io.Reader) error {
	for {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		body := make([]byte, max(4, binary.BigEndian.Uint32(head[1:]))-4)
		if _, err := io.ReadFull(r, body); err != nil {
			return err
		}
		switch {
		case head[0] == errorResponse:
			return fmt.Errorf("startup refused: %q", body)
		case head[0] == readyForQuery:
			return nil
		case head[0] == authentication && len(body) >= 4 &&
			binary.BigEndian.Uint32(body) == authPassword:
			return nil
		}
	}
}
