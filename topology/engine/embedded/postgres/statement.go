package postgres

import (
	"fmt"
	"strings"

	wire "github.com/jeroenrinzema/psql-wire"
)

// statement is one statement of a client's, ready to run.
type statement struct {
	verb      string // first word, upper case
	sql       string // in SQLite's words
	params    []uint32
	columns   wire.Columns // nil when it yields no rows
	reads     bool         // may run beside the writer
	showValue string       // SHOW: the answer
}

// verbs that are about the session rather than the data.
func (st *statement) control() bool {
	switch st.verb {
	case "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SET", "RESET", "DISCARD",
		"DEALLOCATE", "SHOW":
		return true
	}
	return false
}

// changesTables says whether what is known of tables may be wrong afterwards.
func (st *statement) changesTables() bool {
	return st.verb == "CREATE" || st.verb == "DROP" || st.verb == "ALTER" || st.verb == "ROLLBACK"
}

// tag is what the client is told at the end. TRUNCATE runs as DELETE, but is not called so.
func (st *statement) tag() string {
	if words := strings.Fields(st.sql); len(words) > 1 && (st.verb == "CREATE" || st.verb == "DROP") {
		return st.verb + " " + strings.ToUpper(words[1])
	}
	return st.verb
}

// compile makes a statement of tokens. Types that the client gave come before those found out.
func compile(v view, tokens []token, given []uint32) (*statement, error) {
	st := &statement{verb: strings.ToUpper(tokens[0].text)}
	if st.control() {
		if st.verb == "SHOW" {
			st.show(tokens)
		}
		return st, nil
	}
	if st.verb == "TRUNCATE" {
		tokens = truncate(tokens)
	}
	in := infer(v, tokens)
	st.params = parameters(tokens, in, given)
	var err error
	if st.sql, err = translate(tokens, in.literals); err != nil {
		return nil, err
	}
	st.reads = st.verb == "SELECT" || st.verb == "VALUES" || st.verb == "WITH" && !writes(tokens)
	if st.reads {
		st.columns, err = v.describe(st, in)
	} else if list := in.listed("returning"); list != nil {
		st.columns, err = v.describeReturning(in, list)
	}
	if err != nil {
		return nil, withState(err)
	}
	return st, nil
}

// truncate is TRUNCATE [TABLE] name as SQLite says it.
func truncate(tokens []token) []token {
	rest := tokens[1:]
	if len(rest) > 0 && rest[0].is("table") {
		rest = rest[1:]
	}
	return append([]token{{word, "DELETE"}, {word, "FROM"}}, rest...)
}

func writes(tokens []token) bool {
	return has(tokens, "insert") || has(tokens, "update") || has(tokens, "delete")
}

func has(tokens []token, keyword string) bool {
	for _, t := range tokens {
		if t.is(keyword) {
			return true
		}
	}
	return false
}

// parameters are the types of $1, $2 … in order.
func parameters(tokens []token, in *inference, given []uint32) []uint32 {
	most := len(given)
	for n := range in.params {
		most = max(most, n)
	}
	oids := make([]uint32, most)
	copy(oids, given)
	for n, oid := range in.params {
		if n > 0 && oids[n-1] == 0 {
			oids[n-1] = oid
		}
	}
	return oids
}

// describe is what a query's rows look like.
func (v view) describe(st *statement, in *inference) (wire.Columns, error) {
	names, declared, err := v.resultColumns(st.sql, len(st.params))
	if err != nil {
		return nil, err
	}
	list := in.listed("select")
	columns := make(wire.Columns, len(names))
	for i, name := range names {
		oid := typeDeclared(declared[i]).oid
		if declared[i] == "" {
			oid = oidText
			if len(list) == len(names) {
				name, oid = in.result(list[i])
			}
		}
		columns[i] = wire.Column{Name: name, Oid: oid, Width: -1}
	}
	return columns, nil
}

// describeReturning is what a writing statement's rows look like.
func (v view) describeReturning(in *inference, list [][]token) (wire.Columns, error) {
	if len(in.tables) == 0 {
		return nil, refuse("RETURNING from an unknown table")
	}
	var columns wire.Columns
	for _, item := range list {
		if len(item) == 1 && item[0].is("*") {
			for _, name := range v.columns(in.tables[0]) {
				oid := v.column(in.tables[0], name).oid
				columns = append(columns, wire.Column{Name: name, Oid: oid, Width: -1})
			}
			continue
		}
		name, oid := in.result(item)
		if len(item) == 1 && isName(item[0]) {
			name = item[0].name()
		}
		columns = append(columns, wire.Column{Name: name, Oid: oid, Width: -1})
	}
	return columns, nil
}

// show answers the settings that drivers ask for.
func (st *statement) show(tokens []token) {
	settings := map[string]string{
		"transaction_isolation": "serializable", "server_version": serverVersion,
		"standard_conforming_strings": "on", "timezone": "UTC", "search_path": "public",
		"client_encoding": "UTF8", "server_encoding": "UTF8",
	}
	name := strings.ToLower(join(tokens[1:]))
	st.showValue = settings[strings.ReplaceAll(name, " ", "_")]
	st.columns = wire.Columns{{Name: name, Oid: oidText, Width: -1}}
}

// values are a statement's parameters as SQLite is given them.
func (st *statement) values(given []wire.Parameter) ([]any, error) {
	args := make([]any, len(given))
	for i, p := range given {
		var oid uint32
		if i < len(st.params) {
			oid = st.params[i]
		}
		v, err := toSQLite(p, oid)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	return args, nil
}

// compiled remembers statements by their text, so that a client's connections share the work.
func (e *Engine) compiled(v view, q wire.Query) ([]*statement, error) {
	key := fmt.Sprint(q.ParameterOIDs, q.Query)
	e.mu.Lock()
	known, ok := e.statements[key]
	e.mu.Unlock()
	if ok {
		return known, nil
	}
	tokens, err := lex(q.Query)
	if err != nil {
		return nil, syntaxError(err)
	}
	var all []*statement
	for _, part := range split(tokens) {
		st, err := compile(v, part, q.ParameterOIDs)
		if err != nil {
			return nil, err
		}
		all = append(all, st)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.statements) >= statementsKept {
		clear(e.statements)
	}
	e.statements[key] = all
	return all, nil
}
