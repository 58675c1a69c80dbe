// Package postgres is the client of PostgreSQL: one row a message.
//
// It is used in the run step of load → plan → run → check → report and is the only importer of
// pgx's pool. A table of messages is two: the table itself, whose primary key is the message's id,
// for Put, and one with "_rows" behind its name, without uniqueness, for Append.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/conn/dialed"
	"github.com/faultline-sim/faultline/simulators/message"
)

const (
	database = "faultline"
	rows     = "_rows" // ends the name of a table of appended messages
	maxConns = 8
	// closeWithin is how long an orderly Close may take before connections are cut.
	closeWithin = time.Second
)

// Client is one client of a database. It implements conn.Store.
type Client struct {
	conns *dialed.Conns
	pool  *pgxpool.Pool

	recall conn.Recall
}

var _ conn.Store = (*Client)(nil)

// New makes a client; it dials when it is first asked to.
func New(cfg conn.Config) (*Client, error) {
	// Parsed rather than built, because pgx insists; no value of it is taken from the environment.
	parsed, err := pgxpool.ParseConfig("host=127.0.0.1 port=5432 user=faultline dbname=" + database +
		" sslmode=disable password='' connect_timeout=0")
	if err != nil {
		return nil, fmt.Errorf("make postgres client: %w", err)
	}
	conns := dialed.New()
	parsed.ConnConfig.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := conns.Dial(ctx, cfg.Dialer.Dial)
		if err != nil {
			return nil, err
		}
		return c, nil
	}
	parsed.ConnConfig.Fallbacks = nil
	parsed.ConnConfig.RuntimeParams = map[string]string{"application_name": cfg.Client}
	if cfg.User != "" {
		parsed.ConnConfig.User = cfg.User
	}
	parsed.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		if cfg.Password != nil {
			c.Password = cfg.Password()
		}
		return nil
	}
	// One look at the socket takes the place of a ping, which would be traffic that nobody asked for.
	parsed.PrepareConn = func(_ context.Context, c *pgx.Conn) (bool, error) {
		return dialed.Alive(c.PgConn().Conn()), nil
	}
	parsed.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	parsed.MaxConns = maxConns
	pool, err := pgxpool.NewWithConfig(context.Background(), parsed)
	if err != nil {
		return nil, fmt.Errorf("make postgres client: %w", err)
	}
	return &Client{conns: conns, pool: pool, recall: cfg.Recall}, nil
}

// Connect returns when the database answers an empty statement.
func (c *Client) Connect(ctx context.Context) error {
	if err := c.pool.Ping(ctx); err != nil {
		return fmt.Errorf("connect to postgres: %w", err)
	}
	return nil
}

// Declare makes the tables that do not exist.
func (c *Client) Declare(ctx context.Context, tables []string) error {
	const columns = "flow text NOT NULL, number bigint NOT NULL, key text NOT NULL, " +
		"key_seq bigint NOT NULL, body bytea NOT NULL"
	for _, t := range tables {
		put, appended := quote(t), quote(t+rows)
		for _, statement := range []string{
			"CREATE TABLE IF NOT EXISTS " + put + " (id text PRIMARY KEY, " + columns + ")",
			"CREATE TABLE IF NOT EXISTS " + appended + " (id text NOT NULL, " + columns + ")",
			"CREATE INDEX IF NOT EXISTS " + quote(t+rows+"_id") + " ON " + appended + " (id)",
		} {
			if err := c.exec(ctx, statement); err != nil {
				return fmt.Errorf("declare table %q: %w", t, err)
			}
		}
	}
	return nil
}

// exec runs one statement on a connection of the pool.
func (c *Client) exec(ctx context.Context, statement string, args ...any) error {
	held, err := c.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("get connection: %w", err)
	}
	defer held.Release()
	_, err = held.Exec(ctx, statement, args...)
	return judge(err)
}

// Get reads one message; of appended ones any.
func (c *Client) Get(ctx context.Context, table, id string) (*message.Message, error) {
	held, err := c.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("get connection: %w", err)
	}
	defer held.Release()
	for _, t := range []string{table, table + rows} {
		var body []byte
		err := held.QueryRow(ctx,
			"SELECT body FROM "+quote(t)+" WHERE id = $1 LIMIT 1", id).Scan(&body)
		if errors.Is(err, pgx.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("get %q of %q: %w", id, table, judge(err))
		}
		m, err := message.FromStructured(body)
		if err != nil {
			return nil, fmt.Errorf("get %q of %q: %w", id, table, err)
		}
		return m, nil
	}
	return nil, fmt.Errorf("get %q of %q: %w", id, table, conn.ErrNotFound)
}

// Audit reads every message of a table with its copies, in the order of ids. A table of somebody
// else's making, of any columns, is read where messages can be recalled: a row at a time, in no
// order, and as the JSON object that its columns make.
func (c *Client) Audit(
	ctx context.Context, table string, found func(m *message.Message, copies int) error,
) error {
	held, err := c.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("get connection: %w", err)
	}
	defer held.Release()
	if c.recall != nil {
		foreign, err := c.auditForeign(ctx, held, table, found)
		if err != nil {
			return fmt.Errorf("audit %q: %w", table, err)
		}
		if foreign {
			return nil
		}
	}
	all, err := held.Query(ctx, "SELECT id, body FROM "+quote(table)+
		" UNION ALL SELECT id, body FROM "+quote(table+rows)+" ORDER BY id")
	if err != nil {
		return fmt.Errorf("audit %q: %w", table, judge(err))
	}
	defer all.Close()
	g := grouping{found: found}
	for all.Next() {
		var id string
		var body []byte
		if err := all.Scan(&id, &body); err != nil {
			return fmt.Errorf("audit %q: %w", table, judge(err))
		}
		if err := g.row(id, body); err != nil {
			return fmt.Errorf("audit %q: %w", table, err)
		}
	}
	if err := all.Err(); err != nil {
		return fmt.Errorf("audit %q: %w", table, judge(err))
	}
	return g.flush()
}

// grouping counts neighbouring rows of one id.
type grouping struct {
	found  func(m *message.Message, copies int) error
	id     string
	body   []byte
	copies int
}

func (g *grouping) row(id string, body []byte) error {
	if g.copies > 0 && id == g.id {
		g.copies++
		return nil
	}
	if err := g.flush(); err != nil {
		return err
	}
	g.id, g.body, g.copies = id, body, 1
	return nil
}

func (g *grouping) flush() error {
	if g.copies == 0 {
		return nil
	}
	m, err := message.FromStructured(g.body)
	if err != nil {
		return fmt.Errorf("read %q: %w", g.id, err)
	}
	return g.found(m, g.copies)
}

// Close lets statements in hand end for a second, then cuts what is left; no connection is open
// when it returns.
func (c *Client) Close() error {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		c.pool.Close()
	}()
	late := time.NewTimer(closeWithin)
	defer late.Stop()
	select {
	case <-closed:
	case <-late.C:
	}
	c.conns.Sever()
	<-closed
	c.conns.Wait()
	return nil
}

// judge marks what may have happened: all but what the server refused and what was never sent.
func judge(err error) error {
	var refused *pgconn.PgError
	switch {
	case err == nil, pgconn.SafeToRetry(err), errors.Is(err, dialed.ErrDial):
		return err
	case errors.As(err, &refused) && !connectionLost(refused.Code):
		return err
	}
	return fmt.Errorf("%w: %w", conn.ErrUnknown, err)
}

// connectionLost is for the states of a server that goes away while it answers: classes 08
// (connection exception) and 57P (operator intervention).
func connectionLost(code string) bool {
	return strings.HasPrefix(code, "08") || strings.HasPrefix(code, "57P")
}

func quote(table string) string { return pgx.Identifier{table}.Sanitize() }
