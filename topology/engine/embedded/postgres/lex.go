package postgres

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tokenKind says what a token of SQL is.
type tokenKind uint8

const (
	word   tokenKind = iota // keyword, name or type
	quoted                  // "name"
	text                    // 'text'
	number                  // 12, 1.5e3
	param                   // $1
	symbol                  // operator or punctuation
)

// token is one word of a statement. Comments and space are not tokens.
type token struct {
	kind tokenKind
	text string // as written, quotes included
}

// is says whether a token is a keyword or symbol, in any case.
func (t token) is(what string) bool {
	return (t.kind == word || t.kind == symbol) && strings.EqualFold(t.text, what)
}

// name is a word or quoted name without quotes; unquoted ones fold to lower case, as PostgreSQL
// folds them.
func (t token) name() string {
	if t.kind == quoted {
		return strings.ReplaceAll(t.text[1:len(t.text)-1], `""`, `"`)
	}
	return strings.ToLower(t.text)
}

var errUnterminated = errors.New("unterminated quoted text")

// lex takes SQL apart.
func lex(sql string) ([]token, error) {
	var tokens []token
	for i := 0; i < len(sql); {
		n, kind, skip, err := next(sql[i:])
		if err != nil {
			return nil, err
		}
		if !skip {
			tokens = append(tokens, token{kind, sql[i : i+n]})
		}
		i += n
	}
	return tokens, nil
}

// next is the length and kind of the token at the beginning of s; skip is for space and comments.
func next(s string) (n int, kind tokenKind, skip bool, err error) {
	switch c := s[0]; {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r':
		return 1, 0, true, nil
	case strings.HasPrefix(s, "--"):
		return upTo(s, "\n"), 0, true, nil
	case strings.HasPrefix(s, "/*"):
		return upTo(s, "*/"), 0, true, nil
	case c == '\'' || c == '"':
		kind = text
		if c == '"' {
			kind = quoted
		}
		n, err = quotedLength(s)
		return n, kind, false, err
	case c == '$' && len(s) > 1 && digit(s[1]):
		return 1 + span(s[1:], digit), param, false, nil
	case digit(c):
		return span(s, inNumber), number, false, nil
	}
	if n := wordLength(s); n > 0 {
		return n, word, false, nil
	}
	return symbolLength(s), symbol, false, nil
}

func upTo(s, end string) int {
	if i := strings.Index(s[1:], end); i >= 0 {
		return 1 + i + len(end)
	}
	return len(s)
}

// quotedLength is the length of quoted text, in which a doubled quote stands for one.
func quotedLength(s string) (int, error) {
	for i := 1; i < len(s); i++ {
		if s[i] != s[0] {
			continue
		}
		if i+1 < len(s) && s[i+1] == s[0] {
			i++
			continue
		}
		return i + 1, nil
	}
	return 0, errUnterminated
}

func wordLength(s string) int {
	for i, r := range s {
		letter := r == '_' || unicode.IsLetter(r)
		if !letter && (i == 0 || !unicode.IsDigit(r) && r != '$') {
			return i
		}
	}
	return len(s)
}

// symbolLength is that of the longest operator.
func symbolLength(s string) int {
	for _, long := range [...]string{"->>", "::", "<=", ">=", "<>", "!=", "||", "->"} {
		if strings.HasPrefix(s, long) {
			return len(long)
		}
	}
	_, n := utf8.DecodeRuneInString(s)
	return n
}

func inNumber(c byte) bool { return digit(c) || c == '.' || c|0x20 == 'e' }

func digit(c byte) bool { return c >= '0' && c <= '9' }

func span(s string, in func(byte) bool) int {
	n := 0
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}

// join writes tokens as SQL again.
func join(tokens []token) string {
	var b strings.Builder
	for i, t := range tokens {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(t.text)
	}
	return b.String()
}

// split takes a script apart at its semicolons; empty statements are left out.
func split(tokens []token) [][]token {
	var all [][]token
	begin := 0
	for i, t := range tokens {
		if t.is(";") {
			all = append(all, tokens[begin:i])
			begin = i + 1
		}
	}
	all = append(all, tokens[begin:])
	kept := all[:0]
	for _, s := range all {
		if len(s) > 0 {
			kept = append(kept, s)
		}
	}
	return kept
}

// items splits tokens at the commas outside parentheses.
func items(tokens []token) [][]token {
	var all [][]token
	begin, depth := 0, 0
	for i, t := range tokens {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case t.is(",") && depth == 0:
			all = append(all, tokens[begin:i])
			begin = i + 1
		}
	}
	return append(all, tokens[begin:])
}

// closing is the index of the parenthesis that closes the one at open, len(tokens) without one.
func closing(tokens []token, open int) int {
	depth := 0
	for i := open; i < len(tokens); i++ {
		if tokens[i].is("(") {
			depth++
		}
		if tokens[i].is(")") {
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(tokens)
}

// opening is the index of the parenthesis that the one at end closes, 0 without one.
func opening(tokens []token, end int) int {
	depth := 0
	for i := end; i >= 0; i-- {
		if tokens[i].is(")") {
			depth++
		}
		if tokens[i].is("(") {
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return 0
}
