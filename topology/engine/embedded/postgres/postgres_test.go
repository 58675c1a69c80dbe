package postgres_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/stack"
	"github.com/faultline-sim/faultline/topology/wire"
)

// connect is a pool of pgx's own, as a user's service would have one.
func connect(t testing.TB, opt stack.Options, change func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	over := topology.Wire{From: "app", To: "db"}
	opt.Topology = &topology.Topology{Nodes: []*topology.Node{
		{Name: "db", Kind: topology.Store, Protocol: "postgres"},
	}}
	opt.Fabric.Wires = []topology.Wire{over}
	s, err := stack.Up(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	cfg, err := pgxpool.ParseConfig("host=127.0.0.1 user=app password=secret sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	dialer := s.Fabric().Dialer(over, 0)
	cfg.ConnConfig.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.Dial(ctx)
	}
	if change != nil {
		change(cfg)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func run(t testing.TB, pool *pgxpool.Pool, statement string, args ...any) string {
	t.Helper()
	tag, err := pool.Exec(t.Context(), statement, args...)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return tag.String()
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 123456000, time.UTC)

const createReadings = `
	CREATE TABLE readings ( -- one a measurement
		id     text PRIMARY KEY,
		device varchar(64) NOT NULL,
		n      bigint,
		small  int CHECK (small < 100),
		raw    bytea,
		taken  timestamptz DEFAULT now(),
		ok     boolean,
		temp   double precision,
		more   jsonb
	)`

func TestQueriesAnswerAsPostgresDoes(t *testing.T) {
	modes := map[string]pgx.QueryExecMode{
		"prepared": pgx.QueryExecModeCacheStatement,
		"exec":     pgx.QueryExecModeExec,
		"simple":   pgx.QueryExecModeSimpleProtocol,
	}
	queries := []struct {
		name, query string
		args        []any
		want        []any
	}{
		{"a row of every type", "SELECT device, n, small, raw, ok, temp FROM readings WHERE id = $1",
			[]any{"r1"}, []any{"장치", int64(1 << 40), int32(7), []byte{0, 255, '\''}, true, 21.5}},
		{"a time", "SELECT taken FROM readings WHERE id = 'r1'", nil, []any{noon}},
		{"nulls", "SELECT n, raw, temp, more FROM readings WHERE id = 'r2'", nil,
			[]any{nil, nil, nil, nil}},
		{"a count", "SELECT count(*) FROM readings", nil, []any{int64(2)}},
		{"a count with an alias", "SELECT count(*) AS rows FROM readings WHERE n > $1",
			[]any{int64(5)}, []any{int64(1)}},
		{"the greatest of a column", "SELECT max(small), min(device) FROM readings", nil,
			[]any{int32(7), "d2"}},
		{"a list", "SELECT count(*) FROM readings WHERE id IN ($1, $2, $3)",
			[]any{"r1", "r2", "r3"}, []any{int64(2)}},
		{"an empty text and an empty raw", "SELECT $1::text, $2::bytea", []any{"", []byte{}},
			[]any{"", []byte{}}},
		{"casts", "SELECT '5'::int8, 3::text, count(*)::int4 FROM readings", nil,
			[]any{int64(5), "3", int32(2)}},
		{"the order and limit", "SELECT id FROM readings ORDER BY id DESC LIMIT $1 OFFSET $2",
			[]any{1, 0}, []any{"r2"}},
		{"a time and raw bytes compared", "SELECT count(*) FROM readings WHERE taken = $1 AND raw = $2",
			[]any{noon, []byte{0, 255, '\''}}, []any{int64(1)}},
		{"a truth", "SELECT n > 3 FROM public.readings WHERE id = 'r1'", nil, []any{true}},
	}
	for mode, how := range modes {
		pool := connect(t, stack.Options{}, func(c *pgxpool.Config) {
			c.ConnConfig.DefaultQueryExecMode = how
		})
		run(t, pool, createReadings)
		run(t, pool, `INSERT INTO readings (id, device, n, small, raw, taken, ok, temp, more)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			"r1", "장치", int64(1<<40), 7, []byte{0, 255, '\''}, noon, true, 21.5, `{"a": [1]}`)
		run(t, pool, "INSERT INTO readings (id, device) VALUES ('r2', $1)", "d2")
		for _, q := range queries {
			t.Run(mode+"/"+q.name, func(t *testing.T) {
				rows, err := pool.Query(t.Context(), q.query, q.args...)
				if err != nil {
					t.Fatal(err)
				}
				got, err := pgx.CollectExactlyOneRow(rows, func(r pgx.CollectableRow) ([]any, error) {
					return r.Values()
				})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(q.want, got); diff != "" {
					t.Errorf("row (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestTagsCountRows(t *testing.T) {
	pool := connect(t, stack.Options{}, nil)
	for _, c := range []struct {
		statement string
		args      []any
		want      string
	}{
		{"CREATE TABLE t (id text PRIMARY KEY, n int)", nil, "CREATE TABLE"},
		{"INSERT INTO t VALUES ($1, $2), ($3, $4)", []any{"a", 1, "b", 2}, "INSERT 0 2"},
		{"INSERT INTO t VALUES ('a', 9), ('c', 3) ON CONFLICT DO NOTHING", nil, "INSERT 0 1"},
		{"INSERT INTO t VALUES ('a', 9) ON CONFLICT (id) DO UPDATE SET n = excluded.n", nil,
			"INSERT 0 1"},
		{"UPDATE t SET n = n + $1 WHERE n > $2", []any{10, 2}, "UPDATE 2"},
		{"DELETE FROM t WHERE id = $1", []any{"b"}, "DELETE 1"},
		{"SELECT * FROM t", nil, "SELECT 2"},
		{"TRUNCATE TABLE t", nil, "TRUNCATE"},
		{"SET statement_timeout = 100", nil, "SET"},
		{"-- ping", nil, ""},
		{"DROP TABLE t", nil, "DROP TABLE"},
	} {
		if got := run(t, pool, c.statement, c.args...); got != c.want {
			t.Errorf("%s: tag %q, want %q", c.statement, got, c.want)
		}
	}
}

func TestRefusalsCarryTheirState(t *testing.T) {
	pool := connect(t, stack.Options{}, nil)
	run(t, pool, createReadings)
	run(t, pool, "INSERT INTO readings (id, device) VALUES ('r1', 'd1')")
	for _, c := range []struct{ name, statement, want string }{
		{"unique", "INSERT INTO readings (id, device) VALUES ('r1', 'd')", "23505"},
		{"not null", "INSERT INTO readings (id) VALUES ('r2')", "23502"},
		{"check", "INSERT INTO readings (id, device, small) VALUES ('r3', 'd', 100)", "23514"},
		{"table", "SELECT * FROM nowhere", "42P01"},
		{"column", "SELECT missing FROM readings", "42703"},
		{"syntax", "SELEKT 1", "42601"},
		{"quotes", "SELECT 'open", "42601"},
		{"exists", "CREATE TABLE readings (id text)", "42P07"},
		{"type", "CREATE TABLE shapes (s polygon)", "0A000"},
		{"cast", "SELECT $1::int[]", "0A000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := pool.Exec(t.Context(), c.statement)
			var refused *pgconn.PgError
			if !errors.As(err, &refused) || refused.Code != c.want {
				t.Errorf("got %v, want SQLSTATE %s", err, c.want)
			}
		})
	}
	if got := run(t, pool, "SELECT 1"); got != "SELECT 1" {
		t.Errorf("after refusals: %q", got)
	}
}

func TestTransactionsAreWholeOrNothing(t *testing.T) {
	ctx := t.Context()
	pool := connect(t, stack.Options{}, nil)
	run(t, pool, "CREATE TABLE t (id bigserial PRIMARY KEY, v text UNIQUE)")
	insert := func(tx pgx.Tx, v string) (id int64, err error) {
		err = tx.QueryRow(ctx, "INSERT INTO t (v) VALUES ($1) RETURNING id", v).Scan(&id)
		return id, err
	}
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := insert(tx, "kept")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	failed := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if id, err := insert(tx, "lost"); err != nil || id != 2 {
			t.Errorf("second row: id %d, %v", id, err)
		}
		_, err := insert(tx, "kept")
		if _, again := insert(tx, "also lost"); again == nil {
			t.Error("a failed transaction took another statement")
		}
		return err
	})
	var refused *pgconn.PgError
	if !errors.As(failed, &refused) || refused.Code != "23505" {
		t.Errorf("got %v, want SQLSTATE 23505", failed)
	}
	rows, err := pool.Query(ctx, "SELECT v FROM t ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if diff := cmp.Diff([]string{"kept"}, got); diff != "" || err != nil {
		t.Errorf("rows (-want +got): %v\n%s", err, diff)
	}
}

func TestATransactionOfADeadClientIsRolledBack(t *testing.T) {
	ctx := t.Context()
	pool := connect(t, stack.Options{}, nil)
	run(t, pool, "CREATE TABLE t (id text)")
	held, err := pool.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.Exec(ctx, "BEGIN; INSERT INTO t VALUES ('a')"); err != nil {
		t.Fatal(err)
	}
	held.Conn().PgConn().Conn().Close()
	held.Release()
	run(t, pool, "INSERT INTO t VALUES ('b')") // waits for the writer that the dead client held
	var n int
	if err := pool.QueryRow(ctx, "SELECT count(*) FROM t").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d rows, %v; want the one that was committed", n, err)
	}
}

func TestAuthenticateJudgesPasswords(t *testing.T) {
	judge := func(*topology.Node) func(user, password string) error {
		return func(user, password string) error {
			if user != "app" || password != "secret" {
				return errors.New("unknown user")
			}
			return nil
		}
	}
	pool := connect(t, stack.Options{Authenticate: judge, Fabric: wire.Options{}}, nil)
	if err := pool.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	pool = connect(t, stack.Options{Authenticate: judge}, func(c *pgxpool.Config) {
		c.ConnConfig.Password = "wrong"
	})
	if err := pool.Ping(t.Context()); err == nil {
		t.Error("a wrong password was let in")
	}
}
