package postgres

import (
	"errors"
	"strings"

	"github.com/jeroenrinzema/psql-wire/codes"
	psqlerr "github.com/jeroenrinzema/psql-wire/errors"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// withState gives an error of SQLite's the SQLSTATE that PostgreSQL would answer.
func withState(err error) error {
	if err == nil {
		return nil
	}
	return psqlerr.WithSeverity(psqlerr.WithCode(err, state(err)), psqlerr.LevelError)
}

// refuse is an error for what this engine cannot do.
func refuse(what string) error {
	err := errors.New(what + " is not supported by the embedded engine")
	return psqlerr.WithSeverity(psqlerr.WithCode(err, codes.FeatureNotSupported), psqlerr.LevelError)
}

func state(err error) codes.Code {
	if known := psqlerr.GetCode(err); known != codes.Uncategorized {
		return known
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return codes.Internal
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
		sqlite3.SQLITE_CONSTRAINT_ROWID:
		return codes.UniqueViolation
	case sqlite3.SQLITE_CONSTRAINT_NOTNULL:
		return codes.NotNullViolation
	case sqlite3.SQLITE_CONSTRAINT_CHECK:
		return codes.CheckViolation
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return codes.ForeignKeyViolation
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return codes.DiskFull
	case sqlite3.SQLITE_IOERR:
		return codes.Io
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return codes.LockNotAvailable
	case sqlite3.SQLITE_READONLY:
		return codes.ReadOnlySQLTransaction
	case sqlite3.SQLITE_MISMATCH:
		return codes.DatatypeMismatch
	}
	return stateOfText(e.Error())
}

// stateOfText is for the errors that SQLite tells apart only by their words.
func stateOfText(text string) codes.Code {
	for _, known := range [...]struct {
		words string
		code  codes.Code
	}{
		{"no such table", codes.UndefinedTable},
		{"no such column", codes.UndefinedColumn},
		{"has no column named", codes.UndefinedColumn},
		{"no such function", codes.UndefinedFunction},
		{"already exists", codes.DuplicateRelation},
		{"syntax error", codes.Syntax},
		{"incomplete input", codes.Syntax},
		{"unrecognized token", codes.Syntax},
	} {
		if strings.Contains(text, known.words) {
			return known.code
		}
	}
	return codes.Internal
}
