package message

import (
	"encoding/hex"
	"fmt"
)

// traceparentLen is the length of a version 00 traceparent.
const traceparentLen = 55

// Traceparent is the W3C trace context header, version 00, sampled. It is "" when the message has
// no trace id or no span id, because the specification forbids zero ids.
func (m *Message) Traceparent() string {
	var buf [traceparentLen]byte
	return string(m.appendTraceparent(buf[:0]))
}

func (m *Message) appendTraceparent(b []byte) []byte {
	if m.Trace == [16]byte{} || m.Span == [8]byte{} {
		return b
	}
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, m.Trace[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, m.Span[:])
	return append(b, "-01"...)
}

// ParseTraceparent reads a W3C traceparent header, as https://www.w3.org/TR/trace-context/ asks:
// lower case hexadecimal, no zero ids, versions above 00 by their first four fields.
func ParseTraceparent(s string) (trace [16]byte, span [8]byte, err error) {
	if !wellFormed(s) {
		return [16]byte{}, [8]byte{}, fmt.Errorf("parse traceparent %q: not 00-<trace>-<span>-<flags>", s)
	}
	unhex(trace[:], s[3:35])
	unhex(span[:], s[36:52])
	if trace == [16]byte{} || span == [8]byte{} {
		return [16]byte{}, [8]byte{}, fmt.Errorf("parse traceparent %q: zero id", s)
	}
	return trace, span, nil
}

// wellFormed says whether all four fields stand where they must.
func wellFormed(s string) bool {
	if len(s) < traceparentLen || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return false
	}
	longer := len(s) > traceparentLen
	if longer && (s[:2] == "00" || s[traceparentLen] != '-') || s[:2] == "ff" {
		return false
	}
	return isHex(s[:2]) && isHex(s[3:35]) && isHex(s[36:52]) && isHex(s[53:55])
}

func isHex(s string) bool {
	for i := range len(s) {
		if nibble(s[i]) > 15 {
			return false
		}
	}
	return true
}

// unhex decodes digits that isHex has accepted.
func unhex(dst []byte, s string) {
	for i := range dst {
		dst[i] = nibble(s[2*i])<<4 | nibble(s[2*i+1])
	}
}

// nibble is the value of a lower case hexadecimal digit, 255 for anything else.
func nibble(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}
