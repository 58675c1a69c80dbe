package container

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"github.com/faultline-sim/faultline/topology/engine"
)

// newPostgres is a PostgreSQL server with the database and user that clients ask for, and no
// password. Its own defaults stand: a commit is on disk before it is answered.
func newPostgres(e *Engine) (engine.Engine, error) {
	e.product = product{
		port: 5432, data: "/var/lib/postgresql/data", asked: "a session",
		signal: "SIGINT", // the default waits for clients to leave
		dress: func(*member) dress {
			env := map[string]string{
				"POSTGRES_USER": "faultline", "POSTGRES_DB": "faultline",
				"POSTGRES_HOST_AUTH_METHOD": "trust",
				"POSTGRES_INITDB_ARGS":      "--no-sync", // nothing is in there yet
			}
			command := []string{"postgres", "-c", "max_connections=400"}
			if e.cfg.Disk > 0 {
				// The log takes its room in pieces, by default so large that a full disk is met late.
				env["POSTGRES_INITDB_ARGS"] += " --wal-segsize=1"
				command = append(command, "-c", "min_wal_size=2MB", "-c", "max_wal_size=8MB",
					"-c", "wal_recycle=off")
			}
			return dress{env: env, command: command}
		},
		probe: e.probing(openSession),
	}
	return e, nil
}

// The protocol's version 3.0, and the first bytes of the messages that a probe meets.
const (
	protocolVersion = 3 << 16
	errorResponse   = 'E'
	readyForQuery   = 'Z'
)

// openSession goes as far as a statement would be answered, and asks none.
//
// Source: PostgreSQL, Frontend/Backend Protocol 3.0, Start-up.
func openSession(_ context.Context, c net.Conn) error {
	const parameters = "user\x00faultline\x00database\x00faultline\x00\x00"
	startup := binary.BigEndian.AppendUint32(nil, 8+uint32(len(parameters)))
	startup = binary.BigEndian.AppendUint32(startup, protocolVersion)
	if _, err := c.Write(append(startup, parameters...)); err != nil {
		return err
	}
	answers := bufio.NewReader(c)
	for {
		var head [5]byte
		if _, err := io.ReadFull(answers, head[:]); err != nil {
			return err
		}
		body := make([]byte, min(1<<16, max(4, binary.BigEndian.Uint32(head[1:]))-4))
		if _, err := io.ReadFull(answers, body); err != nil {
			return err
		}
		switch head[0] {
		case errorResponse:
			return fmt.Errorf("a session was refused: %q", body)
		case readyForQuery:
			return nil
		}
	}
}
