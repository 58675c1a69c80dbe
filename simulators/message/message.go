// Package message is the envelope of everything that flows: a CloudEvents 1.0 event with W3C
// trace context, ordering key and sequence, and attempt.
//
// It is used in the run step of load → plan → run → check → report. It promises that a message
// written to a body (Structured) or to headers (Attributes) and read back is the same message, and
// that CloudEvents readers of others understand both. It imports nothing of the other rooms.
//
// Source: CloudEvents 1.0.2 with its JSON format and its partitioning, sequence, expiry time and
// distributed tracing extensions; W3C Trace Context.
package message

import (
	"fmt"
	"maps"
	"time"
	"unicode/utf8"
)

// Message is one envelope. It is not changed after it was published: a hop that passes it on makes
// a copy with With. Extensions are CloudEvents attributes (lower case letters and digits).
type Message struct {
	Flow    string    // CloudEvents type is "faultline.<flow>"
	Number  int64     // dense within the flow; the CloudEvents id is "<flow>-<number>"
	Source  string    // CloudEvents source: node and member, "device.hw/17"
	Subject string    // CloudEvents subject: whom it is about or for
	Time    time.Time // intended send time
	Trace   [16]byte  // W3C trace id
	Span    [8]byte   // W3C span id of the sender's step
	Key     string    // extension partitionkey
	KeySeq  int64     // extension sequence: position within flow and key, from 0
	Attempt int       // extension attempt: handler attempts before this delivery, 0 at first
	// Parent of a derived message; ParentNumber is −1 for none.
	ParentFlow   string
	ParentNumber int64
	Expires      time.Time         // zero is never
	Headers      map[string]string // what setting it aside adds: reason, attempts, origin, first and last failure
	Token        string            // bearer token of the sender, "" for none; never recorded
	Data         []byte            // a JSON object
}

// With is a copy that change has been applied to. Data is shared, Headers are not.
func (m *Message) With(change func(*Message)) *Message {
	c := *m
	c.Headers = maps.Clone(m.Headers)
	change(&c)
	return &c
}

// Check says what keeps the message from being a CloudEvent: a flow and a source are needed, a
// number is not negative, and all text is UTF-8.
func (m *Message) Check() error {
	switch {
	case m.Flow == "":
		return fmt.Errorf("check message %d: it has no flow", m.Number)
	case m.Source == "":
		return fmt.Errorf("check message %q: it has no source", m.ID())
	case m.Number < 0 || m.ParentFlow != "" && m.ParentNumber < 0:
		return fmt.Errorf("check message %q: negative number", m.ID())
	}
	for _, text := range [...]string{m.Flow, m.Source, m.Subject, m.Key, m.ParentFlow} {
		if !utf8.ValidString(text) {
			return fmt.Errorf("check message %q: %q is not UTF-8", m.ID(), text)
		}
	}
	return nil
}
