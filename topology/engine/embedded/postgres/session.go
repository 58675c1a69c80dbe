package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	wire "github.com/jeroenrinzema/psql-wire"
	"github.com/jeroenrinzema/psql-wire/codes"
	psqlerr "github.com/jeroenrinzema/psql-wire/errors"
	"github.com/jeroenrinzema/psql-wire/pkg/types"
)

// session is one client connection. Its methods are called by that connection's goroutine.
type session struct {
	engine *Engine
	db     *database
	life   context.Context // ends when the engine is stopped
	tx     *sql.Tx         // nil outside of a transaction
	failed bool            // the transaction takes nothing but its end
}

type sessionKey struct{}

func sessionOf(ctx context.Context) *session {
	s, _ := ctx.Value(sessionKey{}).(*session)
	return s
}

// view is the database as the session sees it now.
func (s *session) view() view {
	if s.tx != nil {
		return view{s.db, s.tx}
	}
	return view{s.db, s.db.read.db}
}

// parse prepares a query. It is the ParseFn of psql-wire.
func (s *session) parse(q wire.Query) (wire.PreparedStatements, error) {
	statements, err := s.engine.compiled(s.view(), q)
	if err != nil {
		s.fail()
		return nil, err
	}
	if len(statements) == 0 { // a comment alone, as pgx's ping is
		return wire.Prepared(wire.NewStatement(empty)), nil
	}
	prepared := make(wire.PreparedStatements, len(statements))
	for i, st := range statements {
		run := func(ctx context.Context, w wire.DataWriter, params []wire.Parameter) error {
			return s.run(ctx, st, w, params)
		}
		prepared[i] = wire.NewStatement(run,
			wire.WithParameters(st.params), wire.WithColumns(st.columns))
	}
	return prepared, nil
}

func empty(_ context.Context, w wire.DataWriter, _ []wire.Parameter) error { return w.Complete("") }

// run executes one statement and answers the client.
func (s *session) run(
	ctx context.Context, st *statement, w wire.DataWriter, params []wire.Parameter,
) error {
	if st.control() {
		return s.control(st, w)
	}
	if s.failed {
		return psqlerr.WithCode(errors.New("current transaction is aborted, commands ignored "+
			"until end of transaction block"), codes.InFailedSQLTransaction)
	}
	args, err := st.values(params)
	if err != nil {
		s.fail()
		return psqlerr.WithCode(err, codes.InvalidTextRepresentation)
	}
	if st.columns == nil {
		err = s.execute(ctx, st, w, args)
	} else {
		err = s.query(ctx, st, w, args)
	}
	if st.changesTables() {
		s.forget()
	}
	if err != nil && !errors.Is(err, wire.ErrSuspendedHandlerClosed) {
		s.fail()
		return withState(err)
	}
	return nil
}

func (s *session) execute(
	ctx context.Context, st *statement, w wire.DataWriter, args []any,
) error {
	prepared, done, err := s.db.write.prepared(context.WithoutCancel(ctx), s.tx, st.sql)
	if err != nil {
		return err
	}
	defer done()
	result, err := prepared.Exec(args...)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err != nil {
		return err
	}
	switch st.verb {
	case "INSERT":
		return w.Complete("INSERT 0 " + strconv.FormatInt(n, 10))
	case "UPDATE", "DELETE":
		return w.Complete(st.verb + " " + strconv.FormatInt(n, 10))
	}
	return w.Complete(st.tag())
}

// query answers with rows. Those of a writing statement are all read before the first one is
// sent, so that a client that reads slowly does not hold the only writer.
func (s *session) query(
	ctx context.Context, st *statement, w wire.DataWriter, args []any,
) error {
	from := s.db.read
	if !st.reads || s.tx != nil {
		from = s.db.write
	}
	prepared, done, err := from.prepared(context.WithoutCancel(ctx), s.tx, st.sql)
	if err != nil {
		return err
	}
	defer done()
	rows, err := prepared.Query(args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	send := w.Row
	var held [][]any
	if !st.reads {
		send = func(row []any) error { held = append(held, row); return nil }
	}
	if err := eachRow(rows, st.columns, send); err != nil {
		return err
	}
	if err := rows.Close(); err != nil {
		return err
	}
	if err := wire.WriteRows(w, held); err != nil {
		return err
	}
	verb := st.verb + " "
	if st.verb == "INSERT" {
		verb = "INSERT 0 "
	} else if st.reads {
		verb = "SELECT "
	}
	return w.Complete(verb + strconv.Itoa(int(w.Written())))
}

func eachRow(rows *sql.Rows, columns wire.Columns, send func([]any) error) error {
	cells := make([]any, len(columns))
	into := make([]any, len(columns))
	for i := range cells {
		into[i] = &cells[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		row := make([]any, len(columns))
		for i, cell := range cells {
			v, err := toPostgres(cell, columns[i].Oid)
			if err != nil {
				return fmt.Errorf("convert column %q: %w", columns[i].Name, err)
			}
			row[i] = v
		}
		if err := send(row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// control does what is about the session.
func (s *session) control(st *statement, w wire.DataWriter) error {
	var err error
	tag := st.verb
	switch st.verb {
	case "BEGIN", "START":
		tag, err = "BEGIN", s.begin()
	case "COMMIT", "END":
		if s.failed {
			tag, err = "ROLLBACK", s.rollback()
		} else {
			tag, err = "COMMIT", s.commit()
		}
	case "ROLLBACK", "ABORT":
		tag, err = "ROLLBACK", s.rollback()
	case "SHOW":
		err = w.Row([]any{st.showValue})
	}
	if err != nil {
		return withState(err)
	}
	return w.Complete(tag)
}

// begin waits for the writer: SQLite has one, so transactions run one after the other.
func (s *session) begin() error {
	if s.tx != nil {
		return nil // PostgreSQL warns and goes on
	}
	tx, err := s.db.write.db.BeginTx(s.life, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	s.tx = tx
	return nil
}

func (s *session) commit() error {
	if s.tx == nil {
		return nil
	}
	tx := s.tx
	s.tx, s.failed = nil, false
	return tx.Commit()
}

func (s *session) rollback() error {
	s.failed = false
	if s.tx == nil {
		return nil
	}
	tx := s.tx
	s.tx = nil
	err := tx.Rollback()
	s.forget()
	return err
}

// forget drops what was concluded from tables that may have changed.
func (s *session) forget() {
	s.db.changed()
	s.engine.forget()
}

func (s *session) fail() { s.failed = s.tx != nil }

// status is what the client is told it is in.
func (s *session) status() types.ServerStatus {
	switch {
	case s.failed:
		return types.ServerTransactionFailed
	case s.tx != nil:
		return types.ServerTransactionBlock
	}
	return types.ServerIdle
}
