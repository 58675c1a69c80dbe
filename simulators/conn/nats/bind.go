package nats

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/faultline-sim/faultline/simulators/conn"
	"github.com/faultline-sim/faultline/simulators/message"
)

// Source: CloudEvents NATS protocol binding 1.0.3-wip, section 3.1 (binary content mode).
const (
	attributePrefix   = "ce-"
	contentTypeHeader = "content-type"
)

// Token is a channel's name as one token of a subject, which is also its stream's name: a byte that
// is not a letter, a digit or "-" becomes "_" and its hexadecimal code.
func Token(channel string) string {
	var b strings.Builder
	for i := range len(channel) {
		switch c := channel[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return b.String()
}

// subject is where the messages of one part of a channel are published.
func subject(channel string, part int) string { return fmt.Sprintf("%s.%d", Token(channel), part) }

// partOf is where a key belongs.
func partOf(key string, parts int) int {
	h := fnv.New32a()
	h.Write([]byte(key))
	return int(h.Sum32() % uint32(parts))
}

// toMsg writes a message in binary mode.
func toMsg(subject string, m *message.Message) *nats.Msg {
	header := make(nats.Header, 14)
	m.Attributes(func(name, value string) bool {
		header[headerName(name)] = []string{message.EscapeHeader(value)}
		return true
	})
	return &nats.Msg{Subject: subject, Header: header, Data: m.Data}
}

func headerName(attribute string) string {
	switch attribute {
	case message.AttrTraceparent:
		return attribute
	case message.AttrDataContentType:
		return contentTypeHeader
	}
	return attributePrefix + attribute
}

// fromMsg reads a message, or recalls the one that the body belongs to.
func fromMsg(header nats.Header, data []byte, recall conn.Recall) (*message.Message, error) {
	var bad error
	m, err := message.FromAttributes(func(name string) string {
		values := header[headerName(name)]
		if len(values) == 0 {
			return ""
		}
		value, err := message.UnescapeHeader(values[0])
		bad = errors.Join(bad, err)
		return value
	}, data)
	err = errors.Join(bad, err)
	return recall.Otherwise(m, err, data)
}

// size is what a message takes of the server's limit.
func size(m *nats.Msg) int64 {
	n := len("NATS/1.0\r\n\r\n") + len(m.Data)
	for name, values := range m.Header {
		n += len(name) + len(values[0]) + len(": \r\n")
	}
	return int64(n)
}
