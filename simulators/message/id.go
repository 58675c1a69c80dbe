package message

import (
	"fmt"
	"strconv"
	"strings"
)

// ID is the CloudEvents id, "<flow>-<number>".
func (m *Message) ID() string { return FormatID(m.Flow, m.Number) }

// FormatID is the id of a flow's message.
func FormatID(flow string, number int64) string {
	var buf [64]byte
	return string(appendID(buf[:0], flow, number))
}

// ParseID takes an id apart. Flows may contain dashes; the number is what stands behind the last
// one, written as FormatID writes it.
func ParseID(id string) (flow string, number int64, err error) {
	dash := strings.LastIndexByte(id, '-')
	if dash <= 0 {
		return "", 0, fmt.Errorf("parse id %q: not <flow>-<number>", id)
	}
	digits := id[dash+1:]
	number, err = strconv.ParseInt(digits, 10, 64)
	if err != nil || digits[0] == '+' || len(digits) > 1 && digits[0] == '0' {
		return "", 0, fmt.Errorf("parse id %q: %q is not a number", id, digits)
	}
	return id[:dash], number, nil
}

func appendID(b []byte, flow string, number int64) []byte {
	b = append(b, flow...)
	b = append(b, '-')
	return strconv.AppendInt(b, number, 10)
}
