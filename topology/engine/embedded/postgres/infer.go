package postgres

import (
	"strconv"
	"strings"
)

// schema tells the type of a column, unknown where there is no such table or column.
type schema interface {
	column(table, column string) columnType
	columns(table string) []string
}

// inference finds out the types of a statement's parameters and results, which SQLite does not
// keep and PostgreSQL's clients ask for before they send a value.
type inference struct {
	schema schema
	tokens []token
	tables []string
	params map[int]uint32 // by number, from 1
	// literals are quoted values that SQLite writes otherwise, by the index of their token.
	literals map[int]string
}

// infer begins with the tables that a statement names.
func infer(s schema, tokens []token) *inference {
	in := &inference{
		schema: s, tokens: tokens, params: map[int]uint32{}, literals: map[int]string{},
	}
	for i, t := range tokens {
		if i > 0 && isName(t) && followsTable(tokens[i-1]) {
			in.tables = append(in.tables, in.tableAt(i))
		}
	}
	in.fromInsert()
	for i, t := range tokens {
		if t.kind == param || t.kind == text {
			in.valueAt(i, in.fromContext(i))
		}
	}
	return in
}

// tableAt is the name at i, without its schema.
func (in *inference) tableAt(i int) string {
	if i+2 < len(in.tokens) && in.tokens[i+1].is(".") {
		i += 2
	}
	return in.tokens[i].name()
}

func isName(t token) bool { return t.kind == word || t.kind == quoted }

func followsTable(t token) bool {
	return t.is("from") || t.is("into") || t.is("update") || t.is("join") || t.is("exists")
}

// set notes a parameter's type; the first one that is known stays.
func (in *inference) set(t token, oid uint32) {
	n, err := strconv.Atoi(t.text[1:])
	if err == nil && in.params[n] == 0 {
		in.params[n] = oid
	}
}

// fromInsert gives parameters in VALUES the types of the columns they are for.
func (in *inference) fromInsert() {
	if len(in.tokens) == 0 || !in.tokens[0].is("insert") || len(in.tables) == 0 {
		return
	}
	columns, at := in.insertColumns()
	for at < len(in.tokens) && !in.tokens[at].is("values") {
		at++
	}
	for at++; at < len(in.tokens) && in.tokens[at].is("("); at++ {
		end := min(closing(in.tokens, at), len(in.tokens)-1)
		in.fromRow(at, end, columns)
		if at = end + 1; at >= len(in.tokens) || !in.tokens[at].is(",") {
			return
		}
	}
}

// fromRow is for the values between two parentheses. A value of several tokens is an expression,
// of which nothing is known.
func (in *inference) fromRow(open, end int, columns []string) {
	depth, column := 0, 0
	for i := open + 1; i < end; i++ {
		t, alone := in.tokens[i], in.tokens[i-1].is(",") || i-1 == open
		alone = alone && (in.tokens[i+1].is(",") || i+1 == end)
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case depth > 0:
		case t.is(","):
			column++
		case alone && column < len(columns):
			in.valueAt(i, in.schema.column(in.tables[0], columns[column]).oid)
		}
	}
}

// valueAt notes the type of a parameter or quoted value.
func (in *inference) valueAt(i int, oid uint32) {
	switch t := in.tokens[i]; t.kind {
	case param:
		in.set(t, oid)
	case text:
		if other, ok := literal(t, oid); ok {
			in.literals[i] = other
		}
	}
}

// insertColumns are the columns that an INSERT names, all of the table's where it names none, and
// the index behind them.
func (in *inference) insertColumns() (columns []string, at int) {
	for at = 2; at < len(in.tokens); at++ {
		if in.tokens[at].is("values") || in.tokens[at].is("select") {
			return in.schema.columns(in.tables[0]), at
		}
		if in.tokens[at].is("(") {
			break
		}
	}
	end := closing(in.tokens, at)
	for _, item := range items(in.tokens[min(at+1, len(in.tokens)):min(end, len(in.tokens))]) {
		if len(item) == 1 {
			columns = append(columns, item[0].name())
		}
	}
	return columns, end
}

// fromContext is the type of the parameter at i by what stands around it, 0 when that tells none.
func (in *inference) fromContext(i int) uint32 {
	at := func(j int) token {
		if j < 0 || j >= len(in.tokens) {
			return token{}
		}
		return in.tokens[j]
	}
	switch {
	case at(i + 1).is("::"):
		_, t, _ := typeAt(in.tokens[i+2:])
		return t.oid
	case at(i - 1).is("limit"), at(i - 1).is("offset"):
		return oidInt8
	case comparison(at(i-1)) && isName(at(i-2)):
		return in.named(at(i - 2).name()).oid
	case comparison(at(i+1)) && isName(at(i+2)):
		return in.named(at(i + 2).name()).oid
	}
	for j := i - 1; j > 1; j-- { // one of "column IN ($1, $2, …)"
		if t := at(j); t.is("(") && at(j-1).is("in") {
			return in.named(at(j - 2).name()).oid
		} else if t.kind != param && !t.is(",") {
			break
		}
	}
	return 0
}

func comparison(t token) bool {
	for _, op := range [...]string{"=", "<>", "!=", "<", ">", "<=", ">=", "like", "ilike"} {
		if t.is(op) {
			return true
		}
	}
	return false
}

// named is the type of a column of any of the statement's tables.
func (in *inference) named(column string) columnType {
	for _, table := range in.tables {
		if t := in.schema.column(table, column); t.oid != 0 {
			return t
		}
	}
	return unknown
}

// result is the name and type of a result column that is an expression rather than a column.
func (in *inference) result(item []token) (name string, oid uint32) {
	if n := len(item); n > 2 && item[n-2].is("as") {
		name, item = item[n-1].name(), item[:n-2]
	}
	if len(item) == 0 {
		return name, oidText
	}
	if name == "" {
		name = "?column?"
		if len(item) > 1 && item[1].is("(") {
			name = item[0].name()
		}
	}
	return name, in.expression(item)
}

func (in *inference) expression(e []token) uint32 {
	for i := len(e) - 2; i > 0; i-- {
		if !e[i].is("::") {
			continue
		}
		if length, t, ok := typeAt(e[i+1:]); ok && i+1+length == len(e) {
			return t.oid
		}
	}
	if len(e) == 1 {
		return in.single(e[0])
	}
	if e[0].kind == word && e[1].is("(") && closing(e, 1) == len(e)-1 {
		return in.call(strings.ToLower(e[0].text), e[2:len(e)-1])
	}
	for _, t := range e {
		if comparison(t) || t.is("and") || t.is("or") || t.is("is") || t.is("in") || t.is("not") {
			return oidBool
		}
	}
	for _, t := range e {
		if t.is("+") || t.is("-") || t.is("*") || t.is("/") || t.is("%") {
			return oidInt8
		}
	}
	return oidText
}

func (in *inference) single(t token) uint32 {
	switch {
	case t.kind == number && strings.ContainsAny(t.text, ".eE"):
		return oidFloat8
	case t.kind == number:
		return oidInt4
	case t.is("true"), t.is("false"):
		return oidBool
	case t.is("current_timestamp"):
		return oidTimestamptz
	case t.kind == param:
		if n, err := strconv.Atoi(t.text[1:]); err == nil && in.params[n] != 0 {
			return in.params[n]
		}
	case isName(t):
		if c := in.named(t.name()); c.oid != 0 {
			return c.oid
		}
	}
	return oidText
}

func (in *inference) call(function string, args []token) uint32 {
	switch function {
	case "count", "sum", "row_number", "rank", "length", "octet_length", "char_length", "abs":
		return oidInt8
	case "avg", "random":
		return oidFloat8
	case "now":
		return oidTimestamptz
	case "exists":
		return oidBool
	case "min", "max", "coalesce", "nullif":
		return in.expression(items(args)[0])
	}
	return oidText
}

// listed are the items behind SELECT or RETURNING, nil when there is no such list.
func (in *inference) listed(behind string) [][]token {
	begin := -1
	depth := 0
	for i, t := range in.tokens {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case depth > 0:
		case begin < 0 && t.is(behind):
			begin = i + 1
			if i+1 < len(in.tokens) && in.tokens[i+1].is("distinct") {
				begin++
			}
		case begin >= 0 && (t.is("from") || t.is("union")):
			return items(in.tokens[begin:i])
		}
	}
	if begin < 0 {
		return nil
	}
	return items(in.tokens[begin:])
}
