package message

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// EscapeHeader is an attribute's value as an HTTP header carries it: spaces, quotes, per cent
// signs and all that is not printable ASCII as percent-encoded UTF-8. Most values need nothing
// and cost nothing. Source: CloudEvents HTTP binding 1.0.2, section 3.1.3.2.
func EscapeHeader(v string) string {
	i := 0
	for i < len(v) && plain(v[i]) {
		i++
	}
	if i == len(v) {
		return v
	}
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	b.WriteString(v[:i])
	for ; i < len(v); i++ {
		if c := v[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// UnescapeHeader undoes EscapeHeader. It takes lower case digits too and refuses what does not
// decode to UTF-8.
func UnescapeHeader(v string) (string, error) {
	var b strings.Builder
	i := strings.IndexByte(v, '%')
	if i < 0 {
		i = len(v)
	}
	b.WriteString(v[:i])
	for ; i < len(v); i++ {
		if v[i] != '%' {
			b.WriteByte(v[i])
			continue
		}
		if len(v) < i+3 {
			return "", fmt.Errorf("unescape header %q: cut off", v)
		}
		digits := strings.ToLower(v[i+1 : i+3])
		if !isHex(digits) {
			return "", fmt.Errorf("unescape header %q: %q is not hexadecimal", v, digits)
		}
		b.WriteByte(nibble(digits[0])<<4 | nibble(digits[1]))
		i += 2
	}
	if !utf8.ValidString(b.String()) {
		return "", fmt.Errorf("unescape header %q: not UTF-8", v)
	}
	return b.String(), nil
}

func plain(c byte) bool { return c > ' ' && c < 0x7f && c != '"' && c != '%' }
