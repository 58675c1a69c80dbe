package reports

import (
	"fmt"
	"strings"
	"unicode"
)

// Plain makes a text safe to show on a terminal: control characters, those that hide themselves or
// turn the direction of a text, and bytes that are no UTF-8 become visible escapes.
func Plain(s string) string {
	var b strings.Builder
	for _, r := range s {
		if hostile(r) {
			b.WriteString(escape(r))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// joiners are format characters that scripts and emoji are written with.
const joiners = "\u200c\u200d"

func hostile(r rune) bool {
	switch {
	case r == unicode.ReplacementChar, r&0xfffe == 0xfffe: // bytes that are no text, no characters
		return true
	case strings.ContainsRune(joiners, r):
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp)
}

func escape(r rune) string {
	switch {
	case r < 0x100:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}

// paragraph is a text of the user's on one line: line breaks and runs of blanks become one blank.
func paragraph(s string) string { return Plain(strings.Join(strings.Fields(s), " ")) }
