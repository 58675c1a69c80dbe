package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	_ "modernc.org/sqlite" // the driver that sql.Open names
)

const (
	// stmtsKept bounds the prepared statements that each pool keeps.
	stmtsKept = 256
	readers   = 4 // idle connections kept for reading
)

// database is one SQLite file: a single writer, for which callers queue, and any number of
// readers beside it.
type database struct {
	write, read *pool

	mu     sync.Mutex
	tables map[string]table // as far as they were asked for
}

// table is the columns of a table, in order and by name.
type table struct {
	names []string
	types map[string]columnType
}

func open(file string) (*database, error) {
	dsn := func(more string) string {
		return "file:" + (&url.URL{Path: file}).EscapedPath() +
			"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)" + more
	}
	write, err := sql.Open("sqlite", dsn("&_txlock=immediate&_pragma=foreign_keys(1)"))
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", file, err)
	}
	write.SetMaxOpenConns(1)
	if err := write.Ping(); err != nil {
		return nil, errors.Join(fmt.Errorf("open %q: %w", file, err), write.Close())
	}
	read, err := sql.Open("sqlite", dsn("&_pragma=query_only(1)"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %q: %w", file, err), write.Close())
	}
	read.SetMaxIdleConns(readers)
	return &database{
		write:  &pool{db: write, stmts: map[string]*sql.Stmt{}},
		read:   &pool{db: read, stmts: map[string]*sql.Stmt{}},
		tables: map[string]table{},
	}, nil
}

// Close closes both pools.
func (d *database) Close() error { return errors.Join(d.read.close(), d.write.close()) }

// changed forgets what was known of the tables.
func (d *database) changed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.tables)
}

// querier is a pool or a transaction: what a session sees the database through.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// view is the database as one session sees it. It implements schema.
type view struct {
	*database
	through querier
}

func (v view) column(of, name string) columnType {
	if t, ok := v.table(of).types[name]; ok {
		return t
	}
	return unknown
}

func (v view) columns(of string) []string { return v.table(of).names }

func (v view) table(name string) table {
	v.mu.Lock()
	t, ok := v.tables[name]
	v.mu.Unlock()
	if ok {
		return t
	}
	t = v.describeTable(name)
	if len(t.names) > 0 {
		v.mu.Lock()
		v.tables[name] = t
		v.mu.Unlock()
	}
	return t
}

// describeTable asks SQLite; a table that is not there has no columns.
func (v view) describeTable(name string) table {
	t := table{types: map[string]columnType{}}
	rows, err := v.through.QueryContext(context.Background(),
		"SELECT name, type FROM pragma_table_info(?)", name)
	if err != nil {
		return t
	}
	defer rows.Close()
	for rows.Next() {
		var column, declared string
		if rows.Scan(&column, &declared) == nil {
			t.names = append(t.names, column)
			t.types[column] = typeDeclared(declared)
		}
	}
	return t
}

// resultColumns are the names and declared types of what a query yields, without running it.
func (v view) resultColumns(query string, params int) (names, declared []string, err error) {
	args := make([]any, params)
	for i := range args {
		args[i] = int64(0)
	}
	rows, err := v.through.QueryContext(context.Background(),
		"SELECT * FROM ("+query+") LIMIT 0", args...)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, nil, err
	}
	for _, t := range types {
		names = append(names, t.Name())
		declared = append(declared, strings.ToUpper(t.DatabaseTypeName()))
	}
	return names, declared, rows.Err()
}

// pool is an SQLite connection pool with its prepared statements, at most stmtsKept.
type pool struct {
	db *sql.DB

	mu    sync.Mutex
	stmts map[string]*sql.Stmt
}

// prepared gives a statement and what to call when done with it. In a transaction it prepares
// through that, because the transaction may hold the pool's only connection.
func (p *pool) prepared(
	ctx context.Context, tx *sql.Tx, query string,
) (s *sql.Stmt, done func(), err error) {
	p.mu.Lock()
	s, kept := p.stmts[query]
	p.mu.Unlock()
	switch {
	case kept && tx != nil:
		s = tx.StmtContext(ctx, s)
	case kept:
		return s, func() {}, nil
	case tx != nil:
		s, err = tx.PrepareContext(ctx, query)
	default:
		s, err = p.db.PrepareContext(ctx, query)
	}
	if err != nil {
		return nil, nil, err
	}
	if tx == nil && p.keep(query, s) {
		return s, func() {}, nil
	}
	return s, func() { s.Close() }, nil
}

// keep remembers a statement if there is room and no other goroutine was first.
func (p *pool) keep(query string, s *sql.Stmt) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, there := p.stmts[query]; there || len(p.stmts) >= stmtsKept {
		return false
	}
	p.stmts[query] = s
	return true
}

func (p *pool) close() error {
	p.mu.Lock()
	stmts := p.stmts
	p.stmts = map[string]*sql.Stmt{}
	p.mu.Unlock()
	var errs []error
	for _, s := range stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, p.db.Close())...)
}
