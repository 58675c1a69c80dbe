package history

import (
	"fmt"
	"slices"
)

// kindNames are the texts of the kind column, by Kind.
var kindNames = [...]string{
	Produce: "produce", Receive: "receive", Attempt: "attempt", Publish: "publish", Call: "call",
	Store: "store", Ack: "ack", Filter: "filter", Derive: "derive", DeadLetter: "dead_letter",
	Expire: "expire", Reject: "reject", Reply: "reply", Redrive: "redrive", Found: "found",
	Breaker: "breaker", Action: "action", Fault: "fault", Phase: "phase", NodeState: "node",
	Gauge: "gauge", Shed: "shed", Ended: "ended",
}

// outcomeNames are the texts of the outcome column, by Outcome; none is the empty text.
var outcomeNames = [...]string{None: "", Ok: "ok", Fail: "fail", Unknown: "unknown"}

// String is the kind as it stands in files and reports: "dead_letter".
func (k Kind) String() string {
	if k == 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
	return kindNames[k]
}

// String is "ok", "fail", "unknown", or "" for none.
func (o Outcome) String() string {
	if int(o) >= len(outcomeNames) {
		return fmt.Sprintf("outcome(%d)", uint8(o))
	}
	return outcomeNames[o]
}

// ParseKind is the kind with a text, the inverse of String.
func ParseKind(s string) (Kind, bool) {
	i := slices.Index(kindNames[1:], s)
	return Kind(i + 1), i >= 0
}

// ParseOutcome is the outcome with a text, the inverse of String.
func ParseOutcome(s string) (Outcome, bool) {
	i := slices.Index(outcomeNames[:], s)
	return Outcome(max(i, 0)), i >= 0
}
