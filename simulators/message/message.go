// Package message is the envelope of everything that flows: a CloudEvents 1.0 event with W3C
// trace context, ordering key and sequence, and attempt.
//
// It is used in the run step of load → plan → run → check → report. It imports nothing of the
// other rooms.
package message

import "time"

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
	Headers      map[string]string // what dead-lettering adds: reason, attempts, origin, first and last failure
	Token        string            // bearer token of the sender, "" for none; never recorded
	Data         []byte            // a JSON object
}
