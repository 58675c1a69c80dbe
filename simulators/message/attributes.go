package message

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The CloudEvents attribute names that a message uses, extensions included.
const (
	AttrSpecVersion     = "specversion"
	AttrID              = "id"
	AttrSource          = "source"
	AttrType            = "type"
	AttrSubject         = "subject"
	AttrTime            = "time"
	AttrDataContentType = "datacontenttype"
	AttrTraceparent     = "traceparent"
	AttrPartitionKey    = "partitionkey"
	AttrSequence        = "sequence"
	AttrExpiryTime      = "expirytime"
	AttrAttempt         = "attempt"
	AttrParentID        = "parentid"
	AttrHeaders         = "headers" // Headers as an URL query, so that any name and value survives
)

// ContentType is what every message's data is.
const ContentType = "application/json"

// StructuredContentType is what Structured returns.
const StructuredContentType = "application/cloudevents+json"

const (
	specVersion = "1.0"
	typePrefix  = "faultline."
)

// TypeOf is the CloudEvents type of a flow's messages.
func TypeOf(flow string) string { return typePrefix + flow }

// Attributes yields the message's attributes for a binary binding, without prefix; the data
// travels beside them. Empty attributes are left out. By the bindings' specifications a caller
// puts its prefix ("ce-", "ce_") before each name, except that datacontenttype becomes the
// protocol's own content type; traceparent is sent once and bare, as W3C asks. Values are any
// UTF-8; HTTP callers pass them through EscapeHeader. The token is not among them.
func (m *Message) Attributes(yield func(name, value string) bool) {
	var buf [64]byte
	_ = yield(AttrSpecVersion, specVersion) &&
		yield(AttrID, m.ID()) &&
		yield(AttrType, TypeOf(m.Flow)) &&
		yieldSet(yield, AttrSource, m.Source) &&
		yieldSet(yield, AttrSubject, m.Subject) &&
		yieldSet(yield, AttrTime, string(appendTime(buf[:0], m.Time))) &&
		yield(AttrDataContentType, ContentType) &&
		yieldSet(yield, AttrTraceparent, m.Traceparent()) &&
		yieldSet(yield, AttrPartitionKey, m.Key) &&
		yieldSet(yield, AttrSequence, string(m.appendSequence(buf[:0]))) &&
		yieldSet(yield, AttrExpiryTime, string(appendTime(buf[:0], m.Expires))) &&
		yieldSet(yield, AttrAttempt, string(appendAttempt(buf[:0], m.Attempt))) &&
		yieldSet(yield, AttrParentID, m.parentID()) &&
		yieldSet(yield, AttrHeaders, encodeHeaders(m.Headers))
}

func yieldSet(yield func(name, value string) bool, name, value string) bool {
	return value == "" || yield(name, value)
}

// FromAttributes is the message of a binary binding: get answers an attribute's value by its
// unprefixed name, "" for one that is not there. The message keeps data.
func FromAttributes(get func(name string) string, data []byte) (*Message, error) {
	if v := get(AttrSpecVersion); v != specVersion {
		return nil, fmt.Errorf("read specversion %q: only %q is understood", v, specVersion)
	}
	m := &Message{Source: get(AttrSource), Subject: get(AttrSubject), Key: get(AttrPartitionKey)}
	if len(data) > 0 {
		m.Data = data
	}
	for _, attr := range parsed {
		if err := attr.set(m, get(attr.name)); err != nil {
			return nil, err
		}
	}
	return m, m.Check()
}

// parsed are the attributes whose text must be parsed; id stands before type, which is held
// against it.
var parsed = [...]struct {
	name string
	set  func(*Message, string) error
}{
	{AttrID, (*Message).setID},
	{AttrType, (*Message).checkType},
	{AttrTime, (*Message).setTime},
	{AttrTraceparent, (*Message).setTraceparent},
	{AttrSequence, (*Message).setSequence},
	{AttrExpiryTime, (*Message).setExpires},
	{AttrAttempt, (*Message).setAttempt},
	{AttrParentID, (*Message).setParent},
	{AttrHeaders, (*Message).setHeaders},
}

func (m *Message) setID(v string) (err error) {
	m.Flow, m.Number, err = ParseID(v)
	return err
}

func (m *Message) checkType(v string) error {
	flow, ours := strings.CutPrefix(v, typePrefix)
	if !ours || flow != m.Flow {
		return fmt.Errorf("read type %q: not %q", v, typePrefix+m.Flow)
	}
	return nil
}

func (m *Message) setTime(v string) (err error) {
	m.Time, err = parseTime(AttrTime, v)
	return err
}

func (m *Message) setExpires(v string) (err error) {
	m.Expires, err = parseTime(AttrExpiryTime, v)
	return err
}

func (m *Message) setTraceparent(v string) (err error) {
	if v == "" {
		return nil
	}
	m.Trace, m.Span, err = ParseTraceparent(v)
	return err
}

func (m *Message) setSequence(v string) (err error) {
	if v == "" {
		return nil
	}
	if m.KeySeq, err = strconv.ParseInt(v, 10, 64); err != nil {
		return fmt.Errorf("read sequence %q: not a whole number", v)
	}
	return nil
}

func (m *Message) setAttempt(v string) error {
	if v == "" {
		return nil
	}
	n, err := strconv.ParseInt(v, 10, 32) // a CloudEvents Integer has 32 bits
	if err != nil || n < 0 {
		return fmt.Errorf("read attempt %q: not a count", v)
	}
	m.Attempt = int(n)
	return nil
}

func (m *Message) setParent(v string) (err error) {
	if v == "" {
		m.ParentNumber = -1
		return nil
	}
	if m.ParentFlow, m.ParentNumber, err = ParseID(v); err != nil {
		return fmt.Errorf("read parentid: %w", err)
	}
	return nil
}

func (m *Message) setHeaders(v string) error {
	if v == "" {
		return nil
	}
	q, err := url.ParseQuery(v)
	if err != nil {
		return fmt.Errorf("read headers %q: %w", v, err)
	}
	if len(q) == 0 {
		return nil
	}
	m.Headers = make(map[string]string, len(q))
	for name, values := range q {
		m.Headers[name] = values[0]
	}
	return nil
}

func (m *Message) parentID() string {
	if m.ParentFlow == "" {
		return ""
	}
	return FormatID(m.ParentFlow, m.ParentNumber)
}

func encodeHeaders(h map[string]string) string {
	if len(h) == 0 {
		return ""
	}
	q := make(url.Values, len(h))
	for name, value := range h {
		q.Set(name, value)
	}
	return q.Encode()
}

// appendTime is RFC 3339 in UTC, nothing for the zero time.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	return t.UTC().AppendFormat(b, time.RFC3339Nano)
}

func parseTime(name, v string) (time.Time, error) {
	if v == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		return time.Time{}, fmt.Errorf("read %s %q: not an RFC 3339 time", name, v)
	}
	if t = t.UTC(); t.Year() < 0 || t.Year() > 9999 {
		return time.Time{}, fmt.Errorf("read %s %q: beyond the years of RFC 3339", name, v)
	}
	return t, nil
}

// appendSequence has leading zeros, because a CloudEvents sequence is compared as text. A message
// without a key and a place in it has none.
func (m *Message) appendSequence(b []byte) []byte {
	if m.Key == "" && m.KeySeq == 0 {
		return b
	}
	if m.KeySeq >= 0 {
		for tenth := int64(1e9); tenth > m.KeySeq && tenth > 1; tenth /= 10 {
			b = append(b, '0')
		}
	}
	return strconv.AppendInt(b, m.KeySeq, 10)
}

func appendAttempt(b []byte, attempt int) []byte {
	if attempt == 0 {
		return b
	}
	return strconv.AppendInt(b, int64(attempt), 10)
}
