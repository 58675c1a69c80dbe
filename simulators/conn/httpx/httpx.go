// Package httpx carries the envelope over HTTP/1.1: a client that dials its wire, and a server on
// the fabric's listener.
//
// It is used in the run step of load → plan → run → check → report. It promises that one Do is at
// most one request on the wire, that a status is an answer and never a Go error, and that an error
// wraps conn.ErrUnknown exactly when the request may have been handled. It is the only package of
// the simulators that imports net/http, and it imports nothing of fleets, clouds or services.
//
// Source: CloudEvents HTTP protocol binding 1.0.2, binary mode; W3C Trace Context.
package httpx

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/faultline-sim/faultline/simulators/message"
)

// MaxBody bounds a request's or answer's body, in bytes.
const MaxBody = 16 << 20

const (
	bearer        = "Bearer "
	authorization = "Authorization"
	contentType   = "Content-Type"
)

// put writes the message's attributes as headers; the token is for requests alone.
func put(h http.Header, m *message.Message) {
	m.Attributes(func(name, value string) bool {
		h[headerName(name)] = []string{message.EscapeHeader(value)}
		return true
	})
}

// take reads the message that headers and body are, nil when the headers name none.
func take(h http.Header, body []byte) (*message.Message, error) {
	if first(h, headerName(message.AttrSpecVersion)) == "" {
		return nil, nil
	}
	var bad error
	get := func(name string) string {
		value, err := message.UnescapeHeader(first(h, headerName(name)))
		if err != nil && bad == nil {
			bad = fmt.Errorf("read header %q: %w", "ce-"+name, err)
		}
		return value
	}
	m, err := message.FromAttributes(get, body)
	if bad != nil {
		return nil, bad
	}
	if err != nil {
		return nil, err
	}
	m.Token = token(h)
	return m, nil
}

// token is the bearer token of a request, "" for none.
func token(h http.Header) string {
	t, ok := strings.CutPrefix(first(h, authorization), bearer)
	if !ok {
		return ""
	}
	return t
}

func first(h http.Header, canonical string) string {
	if v := h[canonical]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// headerName is the canonical header of a CloudEvents attribute.
func headerName(attribute string) string {
	if name, ok := headerNames[attribute]; ok {
		return name
	}
	return http.CanonicalHeaderKey("ce-" + attribute)
}

// headerNames are the headers of the attributes that messages have. It is not changed.
var headerNames = map[string]string{
	message.AttrSpecVersion:     "Ce-Specversion",
	message.AttrID:              "Ce-Id",
	message.AttrSource:          "Ce-Source",
	message.AttrType:            "Ce-Type",
	message.AttrSubject:         "Ce-Subject",
	message.AttrTime:            "Ce-Time",
	message.AttrDataContentType: contentType,
	message.AttrTraceparent:     "Traceparent",
	message.AttrPartitionKey:    "Ce-Partitionkey",
	message.AttrSequence:        "Ce-Sequence",
	message.AttrExpiryTime:      "Ce-Expirytime",
	message.AttrAttempt:         "Ce-Attempt",
	message.AttrParentID:        "Ce-Parentid",
	message.AttrHeaders:         "Ce-Headers",
}
