package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/faultline-sim/faultline/topology/engine/embedded/gate"
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
	front := pgproto3.NewFrontend(c, c)
	front.Send(&pgproto3.StartupMessage{
		ProtocolVersion: pgproto3.ProtocolVersionNumber,
		Parameters:      map[string]string{"user": "probe"},
	})
	if err := front.Flush(); err != nil {
		return err
	}
	return awaitReady(front)
}

func awaitReady(front *pgproto3.Frontend) error {
	for {
		m, err := front.Receive()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			return fmt.Errorf("startup refused: %s %s", m.Code, m.Message)
		case *pgproto3.AuthenticationCleartextPassword:
			return nil
		case *pgproto3.ReadyForQuery:
			front.Send(&pgproto3.Terminate{})
			return front.Flush()
		}
	}
}
