package postgres

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	wire "github.com/jeroenrinzema/psql-wire"
)

// The object ids of types, as pg_type has them.
const (
	oidBool        = 16
	oidBytea       = 17
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidJSON        = 114
	oidFloat4      = 700
	oidFloat8      = 701
	oidVarchar     = 1043
	oidTimestamp   = 1114
	oidTimestamptz = 1184
	oidUUID        = 2950
	oidJSONB       = 3802
)

// columnType is a PostgreSQL type as this engine keeps it. Declared is the name that SQLite's
// tables carry; SQLite derives how it stores values from the words in it (INT, TEXT, BLOB …).
type columnType struct {
	oid      uint32
	declared string
}

// unknown is a type that the engine could not find out.
var unknown = columnType{0, "TEXT"}

// typeNamed is the type that a PostgreSQL type name means.
func typeNamed(name string) (columnType, bool) {
	switch strings.ToLower(name) {
	case "text", "varchar", "char", "character", "character varying", "name", "citext":
		return columnType{oidText, "TEXT"}, true
	case "bigint", "int8":
		return columnType{oidInt8, "BIGINT"}, true
	case "integer", "int", "int4":
		return columnType{oidInt4, "INT"}, true
	case "smallint", "int2":
		return columnType{oidInt2, "SMALLINT"}, true
	case "bigserial", "serial", "serial8", "serial4":
		return columnType{oidInt8, "INTEGER"}, true
	case "bytea":
		return columnType{oidBytea, "BYTEA_BLOB"}, true
	case "boolean", "bool":
		return columnType{oidBool, "BOOLEAN"}, true
	case "double precision", "float8", "numeric", "decimal":
		return columnType{oidFloat8, "DOUBLE"}, true
	case "real", "float4":
		return columnType{oidFloat4, "REAL"}, true
	case "timestamptz", "timestamp with time zone":
		return columnType{oidTimestamptz, "TIMESTAMPTZ_TEXT"}, true
	case "timestamp", "timestamp without time zone":
		return columnType{oidTimestamp, "TIMESTAMP_TEXT"}, true
	case "jsonb":
		return columnType{oidJSONB, "JSONB_TEXT"}, true
	case "json":
		return columnType{oidJSON, "JSON_TEXT"}, true
	case "uuid":
		return columnType{oidUUID, "UUID_TEXT"}, true
	}
	return unknown, false
}

// typeDeclared is the type behind a name that SQLite gives back.
func typeDeclared(declared string) columnType {
	switch declared = strings.ToUpper(declared); declared {
	case "INTEGER":
		return columnType{oidInt8, declared}
	case "DOUBLE":
		return columnType{oidFloat8, declared}
	}
	name, _, _ := strings.Cut(declared, "_")
	t, _ := typeNamed(name)
	return t
}

// storage is the SQLite type that a cast to t means, "" where a cast changes nothing.
func (t columnType) storage() string {
	switch t.oid {
	case oidInt8, oidInt4, oidInt2, oidBool:
		return "INTEGER"
	case oidFloat8, oidFloat4:
		return "REAL"
	case oidText:
		return "TEXT"
	}
	return ""
}

// Times are kept as text in UTC that sorts as they do.
const (
	timeLayout = "2006-01-02 15:04:05.000000-07"
	nowSQL     = "(strftime('%Y-%m-%d %H:%M:%f000+00', 'now'))"
)

// toSQLite is a parameter as SQLite is given it.
func toSQLite(p wire.Parameter, oid uint32) (any, error) {
	raw := p.Value()
	if raw == nil {
		return nil, nil
	}
	switch oid {
	case 0:
		if p.Format() == wire.BinaryFormat {
			return raw, nil
		}
		return string(raw), nil
	case oidText, oidVarchar, oidJSON:
		return string(raw), nil
	case oidJSONB:
		if p.Format() == wire.BinaryFormat && len(raw) > 0 {
			raw = raw[1:] // the version of the binary form
		}
		return string(raw), nil
	}
	v, err := p.Scan(oid)
	if err != nil {
		return nil, fmt.Errorf("read parameter: %w", err)
	}
	switch v := v.(type) {
	case time.Time:
		return v.UTC().Format(timeLayout), nil
	case [16]byte:
		return fmt.Sprintf("%x-%x-%x-%x-%x", v[:4], v[4:6], v[6:8], v[8:10], v[10:]), nil
	case int64, int32, int16, float64, float32, bool, string, []byte:
		return v, nil
	}
	return string(raw), nil
}

// toPostgres is a value of SQLite's as the encoder of a type wants it.
func toPostgres(v any, oid uint32) (any, error) {
	switch oid {
	case oidInt8, oidInt4, oidInt2:
		if s, ok := v.(string); ok {
			return strconv.ParseInt(s, 10, 64)
		}
		if f, ok := v.(float64); ok {
			return int64(f), nil
		}
	case oidFloat8, oidFloat4:
		if i, ok := v.(int64); ok {
			return float64(i), nil
		}
	case oidBool:
		if i, ok := v.(int64); ok {
			return i != 0, nil
		}
	case oidTimestamptz, oidTimestamp:
		if s, ok := v.(string); ok {
			return parseTime(s)
		}
	case oidBytea:
		return toBytes(v), nil
	case oidText, oidJSON, oidJSONB, oidUUID, 0:
		return toText(v), nil
	}
	return v, nil
}

// toBytes keeps empty apart from NULL: SQLite's driver gives an empty blob as a nil slice.
func toBytes(v any) any {
	switch v := v.(type) {
	case []byte:
		if v == nil {
			return []byte{}
		}
	case string:
		return []byte(v)
	}
	return v
}

func toText(v any) any {
	switch v := v.(type) {
	case nil, string:
		return v
	case []byte:
		return string(v)
	}
	return fmt.Sprint(v)
}

// literal is the text of a quoted value in a place of a type that SQLite keeps otherwise than
// PostgreSQL writes it, false where both write the same.
func literal(t token, oid uint32) (string, bool) {
	value := strings.ReplaceAll(t.text[1:len(t.text)-1], "''", "'")
	switch oid {
	case oidBytea:
		if digits, ok := strings.CutPrefix(value, `\x`); ok {
			return "x'" + digits + "'", true // SQLite refuses what is not hexadecimal
		}
		return "CAST(" + t.text + " AS BLOB)", true
	case oidTimestamptz, oidTimestamp:
		if when, err := parseTime(value); err == nil {
			return "'" + when.UTC().Format(timeLayout) + "'", true
		}
	}
	return "", false
}

func parseTime(s string) (time.Time, error) {
	for _, layout := range [...]string{
		timeLayout, "2006-01-02 15:04:05.999999999Z07:00", time.RFC3339Nano, time.DateTime,
		time.DateOnly,
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("read time %q: not a time", s)
}
